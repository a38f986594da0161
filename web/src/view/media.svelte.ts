/** Properties of the screen and of the page, as reactive values. */
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

/** Whether two panes fit: the list and a conversation. */
export const wide = follows("(min-width: 720px)");
/** Whether a third pane fits, for details. */
export const roomy = follows("(min-width: 1280px)");
/**
 * Whether the main pointer is a finger. Enter then starts a new line, and no field is focused automatically, because
 * that would open the keyboard.
 */
export const touch = follows("(pointer: coarse)");

function visibility(): { readonly now: boolean } {
  let now = $state(document.visibilityState === "visible");
  document.addEventListener("visibilitychange", () => (now = document.visibilityState === "visible"));
  return {
    get now() {
      return now;
    },
  };
}

/** Whether the page is visible. */
export const visible = visibility();

/**
 * Smaller errors of this device's clock are ignored, in ms, so that times agree with the clock that the device shows.
 */
const WRONG_MS = 60_000;

/** The time, updated every minute, so that "Today" becomes "Yesterday". */
class Minutes {
  now: number = $state(0);
  private offset = 0;

  constructor() {
    this.next();
  }

  /**
   * The difference between the clock of the server, which message times follow, and that of this device, in ms. A clock
   * that is wrong by a day must not date messages to another day.
   */
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
