/** Tells which events of messages repeat what a device shows already. */
export class Arrivals {
  /** The messages that the device shows. They outlive a run of the app. */
  private readonly shown: Set<string>;
  /** The messages whose event has arrived in this run of the app and that the device does not show yet. */
  private readonly waiting = new Set<string>();

  constructor(shown: Set<string>) {
    this.shown = shown;
  }

  /** Records that the event of a message has arrived. Returns whether it is a repeat. */
  arrive(path: string): boolean {
    if (this.shown.has(path)) return true;
    this.waiting.add(path);
    return false;
  }

  /**
   * Records that the device shows a message. Returns whether its event has arrived and waits to be stored, so that it
   * is a repeat now: history can bring a message while its event waits.
   */
  show(path: string, from: "event" | "history" | undefined): boolean {
    this.shown.add(path);
    return this.waiting.delete(path) && from === "history";
  }
}
