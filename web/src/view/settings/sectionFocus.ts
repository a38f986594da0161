/** Whether the settings should show one of their sections first, because the user follows a link to it. */
class SectionFocus {
  private asked = false;
  private focus: (() => void) | null = null;

  /** Focuses the section, now or as soon as it is shown. */
  ask(): void {
    this.asked = this.focus === null;
    this.focus?.();
  }

  /** Registers the section that is shown. Returns a function that ends that. */
  shown(focus: () => void): () => void {
    this.focus = focus;
    if (this.asked) focus();
    this.asked = false;
    return () => (this.focus = null);
  }
}

export const focusDevices = new SectionFocus();
export const focusAddress = new SectionFocus();
export const focusFactor = new SectionFocus();
