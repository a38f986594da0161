import type { Message } from "../../model";
import { nextFrame } from "../nextFrame";

/** How many frames a message may take to appear, after which it does not receive the focus. */
const MAX_FRAMES = 120;

/**
 * The keyboard focus in a list of messages. Tab reaches one message of the list; the arrow keys, Home and End move from
 * one to another. The list may be virtual: a message receives the focus as soon as it has an element, whose id is "m-"
 * and the message's key.
 */
export class MessageFocus {
  #focused: string | null = $state(null);
  readonly #items: () => readonly Message[];
  readonly #scrollTo: (index: number) => void;

  /** `scrollTo` must show the message at an index. */
  constructor(items: () => readonly Message[], scrollTo: (index: number) => void) {
    this.#items = items;
    this.#scrollTo = scrollTo;
  }

  /** The key of the message that Tab reaches: the one that had the focus last, else the newest. */
  readonly current: string | null = $derived.by(() => {
    const items = this.#items();
    if (this.#focused !== null && items.some((m) => m.key === this.#focused)) return this.#focused;
    return items.at(-1)?.key ?? null;
  });

  /** The index of that message; -1 if there is none. */
  readonly index: number = $derived.by(() => {
    const items = this.#items();
    return this.current === items.at(-1)?.key ? items.length - 1 : items.findIndex((m) => m.key === this.current);
  });

  /** Handles a key that moves the focus. Reports whether the key was one. */
  onkeydown(event: KeyboardEvent): boolean {
    const items = this.#items();
    const to = { ArrowUp: this.index - 1, ArrowDown: this.index + 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined) return false;
    event.preventDefault();
    const message = items[Math.max(0, Math.min(items.length - 1, to))];
    if (message) {
      void this.move(message.key);
      this.#scrollTo(items.indexOf(message));
    }
    return true;
  }

  onfocusin(event: FocusEvent): void {
    const article = event.target instanceof Element ? event.target.closest("article") : null;
    if (article) this.#focused = article.id.slice(2);
  }

  /** Focuses a message as soon as the list shows it. Creating and measuring its row takes a frame or more. */
  async move(key: string): Promise<void> {
    this.#focused = key;
    for (let frames = 0; frames < MAX_FRAMES && this.#focused === key; frames++) {
      const article = document.getElementById(`m-${key}`);
      article?.focus({ preventScroll: true });
      if (article && document.activeElement === article) return;
      await nextFrame();
    }
  }
}
