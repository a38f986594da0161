/** Whether the settings should show the list of devices first, because the user follows a link to it. */
class DevicesFocus {
  private asked = false;
  private focus: (() => void) | null = null;

  /** Focuses the list, now or as soon as it is shown. */
  ask(): void {
    this.asked = this.focus === null;
    this.focus?.();
  }

  /** Registers the list that is shown. Returns a function that ends that. */
  shown(focus: () => void): () => void {
    this.focus = focus;
    if (this.asked) focus();
    this.asked = false;
    return () => (this.focus = null);
  }
}

export const focusDevices = new DevicesFocus();
