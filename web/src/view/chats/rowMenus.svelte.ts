import type { ConversationSummary } from "../../model";
import { text } from "../../text";
import type * as Touched from "../conversation/touched";
import { touch } from "../media.svelte";
import { notices } from "../notices.svelte";
import { type Beside, pointOf } from "../parts/beside";

/** Opens the menu of a chat in the list by right click, key or long press. */
export class RowMenus {
  /** The chat whose menu is open, the place that the menu opens beside, and its code. */
  shown: {
    readonly summary: ConversationSummary;
    readonly beside: Beside;
    readonly loaded: typeof Touched;
  } | null = $state.raw(null);

  readonly #summaryOf: (row: Element) => ConversationSummary | undefined;

  /** `summaryOf` returns the chat that a row of the list shows. */
  constructor(summaryOf: (row: Element) => ConversationSummary | undefined) {
    this.#summaryOf = summaryOf;
  }

  readonly oncontextmenu = (event: MouseEvent): void => {
    const row = rowOf(event);
    if (!row) return;
    event.preventDefault();
    if (touch.now && !(event instanceof PointerEvent && event.pointerType === "mouse")) return; // see gestures.ts
    // Firefox closes a menu that opens while the button is down as soon as it is released.
    const open = (): void => void this.#open(row, pointOf(event.clientX, event.clientY));
    if (event.buttons === 0) open();
    else addEventListener("pointerup", () => setTimeout(open), { once: true });
  };

  readonly onpointerdown = (event: PointerEvent): void => {
    const row = rowOf(event);
    if (row && event.pointerType === "touch" && event.isPrimary) void this.#press(event, row);
  };

  readonly onkeydown = (event: KeyboardEvent): void => {
    const row = rowOf(event);
    if (!row || !(event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey))) return;
    event.preventDefault();
    void this.#open(row, row.getBoundingClientRect());
  };

  /** Follows a finger on a row, unless it was lifted before the code for that was loaded. */
  async #press(event: PointerEvent, row: HTMLElement): Promise<void> {
    const lifted = new AbortController();
    for (const kind of ["pointerup", "pointercancel"] as const)
      addEventListener(kind, () => lifted.abort(), { once: true });
    const loaded = await import("../conversation/touched").catch(() => null);
    if (loaded && !lifted.signal.aborted)
      loaded.follow(event, row, { menu: (x, y) => void this.#open(row, pointOf(x, y)), reply: null });
  }

  async #open(row: Element, beside: Beside): Promise<void> {
    const summary = this.#summaryOf(row);
    if (!summary) return;
    try {
      this.shown = { summary, beside, loaded: await import("../conversation/touched") };
    } catch {
      notices.say(text.common.failed, undefined, undefined, true);
    }
  }
}

function rowOf(event: Event): HTMLElement | null {
  return event.target instanceof Element ? event.target.closest<HTMLElement>("[aria-posinset]") : null;
}
