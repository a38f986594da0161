/**
 * Short notices at the bottom of a pane: what was done, and how to undo it. A new one replaces the last. It disappears
 * with the page that it is about.
 */
export interface Notice {
  readonly words: string;
  readonly action?: { readonly label: string; run(): void } | undefined;
  /** Whether it is about the list, and shown there. */
  readonly side: boolean;
  /** The path of its page. */
  readonly at: string;
}

const LASTS = 6_000;

class Notices {
  shown: Notice | null = $state.raw(null);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private ended: (() => void) | undefined;

  /** Shows a notice for `lasts` ms. `ended` runs if it disappears before the user chooses its action. */
  say(words: string, action?: Notice["action"], ended?: () => void, side = false, lasts = LASTS): void {
    this.end();
    this.ended = ended;
    this.shown = { words, action, side, at: location.pathname };
    this.timer = setTimeout(() => this.end(), lasts);
  }

  /** Runs the action of the notice. */
  act(): void {
    const action = this.shown?.action;
    this.ended = undefined;
    this.end();
    action?.run();
  }

  /** Hides the notice if another page is shown. */
  leave(): void {
    if (this.shown?.at !== location.pathname) this.end();
  }

  /** Hides the notice. */
  end(): void {
    clearTimeout(this.timer);
    this.shown = null;
    const ended = this.ended;
    this.ended = undefined;
    ended?.();
  }
}

export const notices = new Notices();
