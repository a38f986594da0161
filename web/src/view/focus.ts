/** Where the keyboard focus goes after a new place is shown, and when the element that has it disappears. */
import { touch } from "./media.svelte";
import { nextFrame } from "./nextFrame";
import { type Place, href } from "./places";
import { router } from "./router.svelte";

/** How many frames a screen may take to appear. */
const MAX_FRAMES = 300;
/** How many frames a list may take to show the row that the user came from. */
const ROW_FRAMES = 30;
const CONTROLS = "a[href], button, input, textarea, select, [tabindex='0']";
/** The parts of the page. The focus does not move from one to another when an element disappears. */
const PANES = "main, aside, dialog, [role='main'], [role='complementary']";
/** The field that a pane is there for. */
const FIELD = "[data-field]";

const shown = (element: Element): boolean =>
  element.isConnected && element.checkVisibility({ visibilityProperty: true });

/** Whether no element has the focus, or one that is hidden. */
function lost(): boolean {
  const { activeElement: active } = document;
  return active === null || active === document.body || !shown(active);
}

/** Focuses an element that is not a control, such as a pane or a heading, from which Tab goes on. */
function focusStart(element: HTMLElement): void {
  if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

const mainOf = (): HTMLElement | null =>
  [...document.querySelectorAll<HTMLElement>("main, [role='main']")].find(shown) ?? null;

/** Focuses the first field of the form at a new place; on a touch screen its heading, so that no keyboard opens. */
export function focusForm(form: HTMLElement): void {
  const field = touch.now ? null : form.querySelector<HTMLElement>("input:not([tabindex])");
  const start = field ?? form.querySelector("h1");
  if (field) field.focus();
  else if (start) focusStart(start);
}

/** Focuses the main pane of a screen that is about to appear, unless something on it has received the focus. */
export async function focusMain(): Promise<void> {
  for (let frames = 0; frames < MAX_FRAMES && lost(); frames++) {
    await nextFrame();
    const main = mainOf();
    if (main && lost()) focusStart(main);
  }
}

/** Moves the focus after the user went from one place to another. */
export async function focusPlace(from: Place, to: Place): Promise<void> {
  await nextFrame(); // a field of the new place has received the focus by then, and a hidden element has lost it
  if (to.name !== "chats" && to.name !== "people") {
    const main = mainOf();
    // A menu has returned the focus to its button.
    const moved = router.focusMoved && document.activeElement?.matches("a, input");
    if (main && !main.contains(document.activeElement) && !moved) focusStart(main);
    return;
  }
  // In a list, the link to the place that the user came from. It may have to be rendered first.
  const side = document.getElementById("side");
  const left = (): boolean => lost() || document.activeElement === document.getElementById("main");
  for (let frames = 0; frames < ROW_FRAMES && left(); frames++) {
    const link = side?.querySelector<HTMLElement>(`a[href="${CSS.escape(href(from))}"]`);
    if (link && shown(link)) link.focus({ preventScroll: true });
    else await nextFrame();
  }
  if (left()) side?.querySelector<HTMLElement>("[aria-current='page']")?.focus();
}

/**
 * Moves the focus whenever the element that has it is removed or hidden: to the field of its pane, or else to a control
 * beside it. Code that closes something may move the focus itself, to a better place. Returns a function that ends it.
 */
export function keepFocus(): () => void {
  const ended = new AbortController();
  /** The element that has the focus, and the elements that contain it, from the inside out. */
  let chain: Element[] = [];
  const note = (): void => {
    chain = [];
    for (let e = document.activeElement; e && e !== document.body; e = e.parentElement) chain.push(e);
  };
  note();
  document.addEventListener("focusin", note, { signal: ended.signal });
  // An element that is left for nothing, as by a click beside it, has not lost the focus.
  const left = (): void =>
    queueMicrotask(() => {
      if (document.activeElement === document.body && chain[0] && shown(chain[0])) chain = [];
    });
  document.addEventListener("focusout", left, { signal: ended.signal });

  const gone = (): boolean => chain[0] !== undefined && !shown(chain[0]) && lost();
  let checking = false;
  const check = async (): Promise<void> => {
    if (checking || !gone()) return;
    checking = true;
    await nextFrame();
    checking = false;
    if (gone()) restore(chain.filter(shown));
  };
  const observer = new MutationObserver(() => void check());
  observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ["hidden", "open", "inert"] });
  ended.signal.addEventListener("abort", () => observer.disconnect());
  return () => ended.abort();
}

/** Focuses the best element within the remaining ones of a chain. */
function restore(remaining: readonly Element[]): void {
  focusBest(remaining);
  router.focusFrom = document.activeElement;
}

function focusBest(remaining: readonly Element[]): void {
  const end = remaining.findIndex((element) => element.matches(PANES));
  const pane = end < 0 ? remaining : remaining.slice(0, end + 1);
  for (const element of pane) {
    const field = element.querySelector<HTMLElement>(FIELD);
    if (!field || !shown(field)) continue;
    // A field that receives the focus would open the keyboard.
    if (!touch.now) field.focus();
    else if (element instanceof HTMLElement) focusStart(element);
    return;
  }
  for (const element of pane) {
    const control = [...element.querySelectorAll<HTMLElement>(CONTROLS)].find(shown);
    if (control) return control.focus({ preventScroll: true });
  }
  const main = mainOf();
  if (main) focusStart(main);
}
