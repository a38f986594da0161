/** Short words at the foot of the screen: what was done, and how to undo it. One at a time; a new one replaces the last. */
export interface Notice {
  readonly words: string;
  readonly action?: { readonly label: string; run(): void };
}

const LASTS = 6_000;

class Notices {
  shown: Notice | null = $state.raw(null);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private ended: (() => void) | undefined;

  /** Shows words for 6 s. `ended` runs when they go without the action being taken. */
  say(words: string, action?: Notice["action"], ended?: () => void): void {
    this.end();
    this.ended = ended;
    this.shown = action ? { words, action } : { words };
    this.timer = setTimeout(() => this.end(), LASTS);
  }

  /** Takes the action of what is shown. */
  act(): void {
    const action = this.shown?.action;
    this.ended = undefined;
    this.end();
    action?.run();
  }

  /** Takes the words away. */
  end(): void {
    clearTimeout(this.timer);
    this.shown = null;
    const ended = this.ended;
    this.ended = undefined;
    ended?.();
  }
}

export const notices = new Notices();
