/** A finger that rests this long opens the menu, in ms. */
export const LONG_PRESS_MS = 450;
/** A finger that moves less than this, in CSS pixels, rests. */
const REST = 10;
/** A swipe of this length answers the message, in CSS pixels. */
export const SWIPE = 56;
/** The message follows the finger no further than this, in CSS pixels. */
const FARTHEST = 72;

/**
 * Ignores the click that follows when the finger is lifted, as on a link. Browsers with touch events do not send it when
 * `touchend` is prevented; others may send it late.
 */
function ignoreClick(): void {
  const over = new AbortController();
  const options = { capture: true, signal: over.signal };
  addEventListener(
    "click",
    (event) => {
      if (event.detail === 0) return; // from the keyboard
      event.preventDefault();
      event.stopPropagation();
      over.abort();
    },
    options,
  );
  addEventListener("pointerdown", () => over.abort(), options);
}

export interface Gestures {
  /** Opens the menu of the message at a point of the viewport. */
  menu(x: number, y: number): void;
  /** Answers the message; null if it cannot be answered. */
  readonly reply: (() => void) | null;
}

/**
 * Follows a finger that was put on a message until it is lifted. A long press opens the menu once the finger is lifted,
 * because browsers close a popover that opens before. They also close it for the mouse events that they derive from the
 * touch, in a task of their own, so these are prevented. A swipe toward the end of the line answers.
 * Vertical movements scroll the list, for which the browser cancels the pointer.
 */
export function follow(event: PointerEvent, article: HTMLElement, gestures: Gestures): void {
  const { pointerId, clientX, clientY } = event;
  const forward = getComputedStyle(article).direction === "rtl" ? -1 : 1;
  const line = article.querySelector<HTMLElement>(".line");
  const ended = new AbortController();
  const lifted = new AbortController();
  let held = false;
  let swiped = 0;
  const timer = setTimeout(() => {
    held = true;
    article.dataset["gesture"] = "held";
    navigator.vibrate?.(10);
  }, LONG_PRESS_MS);

  const end = (): void => {
    clearTimeout(timer);
    ended.abort();
    delete article.dataset["gesture"];
    line?.style.removeProperty("translate");
  };
  const listen = (kind: "pointermove" | "pointerup" | "pointercancel", handle: (e: PointerEvent) => void): void =>
    window.addEventListener(
      kind,
      (e) => {
        if (e.pointerId === pointerId) handle(e);
      },
      { signal: ended.signal },
    );

  // Registered before `touchstart`, since Chromium decides then whether the touch can be prevented.
  window.addEventListener(
    "touchend",
    (e) => {
      if (held && e.cancelable) e.preventDefault();
    },
    { passive: false, signal: lifted.signal },
  );

  listen("pointermove", (e) => {
    const along = (e.clientX - clientX) * forward;
    if (held || Math.hypot(e.clientX - clientX, e.clientY - clientY) < REST) return;
    clearTimeout(timer);
    if (gestures.reply === null) return;
    swiped = Math.max(0, Math.min(FARTHEST, along));
    if (swiped > 0) article.dataset["gesture"] = swiped >= SWIPE ? "answers" : "swipes";
    line?.style.setProperty("translate", `${swiped * forward}px`);
  });
  listen("pointerup", () => {
    end();
    if (held) ignoreClick();
    // Later, because `touchend` follows, and the browser closes popovers after this event.
    setTimeout(() => {
      lifted.abort();
      if (held) gestures.menu(clientX, clientY);
    });
    if (!held && swiped >= SWIPE) gestures.reply?.();
  });
  listen("pointercancel", () => {
    end();
    lifted.abort();
    // Some browsers cancel the pointer when they would have opened their own menu.
    if (held) gestures.menu(clientX, clientY);
  });
}
