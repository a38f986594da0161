import type { ConversationSummary } from "../../model";
import { follow } from "../conversation/gestures";
import { touch } from "../media.svelte";
import { type Beside, pointOf } from "../parts/beside";

/** Opens the menu of a chat in the list by right click, key or long press. */
export class RowMenus {
  /** The chat whose menu is open, and the place that the menu opens beside. */
  shown: { readonly summary: ConversationSummary; readonly beside: Beside } | null = $state.raw(null);

  readonly #summaryOf: (row: Element) => ConversationSummary | undefined;

  /** `summaryOf` returns the chat that a row of the list shows. */
  constructor(summaryOf: (row: Element) => ConversationSummary | undefined) {
    this.#summaryOf = summaryOf;
  }

  /** Handles an event that may open the menu of a row. `lifted`: the pointer was lifted meanwhile. */
  handle(event: Event, row: HTMLElement, lifted: boolean): void {
    if (event instanceof KeyboardEvent) this.#open(row, row.getBoundingClientRect());
    else if (event.type === "contextmenu") this.#click(event as MouseEvent, row, lifted);
    else if (event instanceof PointerEvent && event.pointerType === "touch" && event.isPrimary && !lifted)
      follow(event, row, { menu: (x, y) => this.#open(row, pointOf(x, y)), reply: null });
  }

  #click(event: MouseEvent, row: Element, lifted: boolean): void {
    if (event instanceof PointerEvent ? event.pointerType === "touch" : touch.now) return; // see gestures.ts
    const open = (): void => this.#open(row, pointOf(event.clientX, event.clientY));
    // Firefox closes a menu that opens while the button is down as soon as it is released.
    if (event.buttons === 0 || lifted) open();
    else addEventListener("pointerup", () => setTimeout(open), { once: true });
  }

  #open(row: Element, beside: Beside): void {
    const summary = this.#summaryOf(row);
    if (summary) this.shown = { summary, beside };
  }
}
