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

/** The time, moved on each minute, so that "Today" becomes "Yesterday" by itself. */
function minutes(): { readonly now: number } {
  let now = $state(Date.now());
  const next = (): void => {
    now = Date.now();
    setTimeout(next, 60_000 - (now % 60_000) + 20);
  };
  next();
  return {
    get now() {
      return now;
    },
  };
}

export const clock = minutes();
