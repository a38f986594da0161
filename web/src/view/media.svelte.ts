/** Facts about the screen and the page that components follow. */
function follows(query: string): { readonly now: boolean } {
  const list = matchMedia(query);
  let now = $state(list.matches);
  list.addEventListener("change", () => (now = list.matches));
  return {
    get now() {
      return now;
    },
  };
}

/** Two panes fit: the list and a conversation. */
export const wide = follows("(min-width: 720px)");
/** A third pane fits, for details. */
export const roomy = follows("(min-width: 1280px)");
/** A finger, not a mouse: Enter writes a new line, and no field is focused unasked (it would open the keyboard). */
export const touch = follows("(pointer: coarse)");
export const calm = follows("(prefers-reduced-motion: reduce)");

function visibility(): { readonly now: boolean } {
  let now = $state(document.visibilityState === "visible");
  document.addEventListener("visibilitychange", () => (now = document.visibilityState === "visible"));
  return {
    get now() {
      return now;
    },
  };
}

/** The page is on screen. */
export const visible = visibility();

/** A clock that is wrong by less than this agrees with the one on the screen's edge: people would wonder at any other. */
const WRONG_MS = 60_000;

/** The time, moved on each minute, so that "Today" becomes "Yesterday" by itself. */
class Minutes {
  now: number = $state(0);
  private offset = 0;

  constructor() {
    this.next();
  }

  /** What to add to this device's clock for the server's, which all times of messages follow, in ms: a clock that is wrong by a day must not call them yesterday's. */
  correct(offset: number): void {
    this.offset = Math.abs(offset) < WRONG_MS ? 0 : offset;
    this.now = Date.now() + this.offset;
  }

  private next(): void {
    this.now = Date.now() + this.offset;
    setTimeout(() => this.next(), 60_000 - (this.now % 60_000) + 20);
  }
}

export const clock = new Minutes();
