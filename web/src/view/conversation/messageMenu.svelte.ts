import type { Message } from "../../model";
import { loaded } from "../loaded";
import { touch } from "../media.svelte";
import { type Beside, pointOf } from "../parts/beside";
import type * as Touched from "./touched";

/** Returns the message that an article of the list shows. */
export type MessageOf = (article: HTMLElement) => Message | undefined;

const targetOf = (event: Event): Element | null => (event.target instanceof Element ? event.target : null);

/** Opens the menu of a message by right click, key or long press, and answers messages that are swiped. */
export class MessageMenus {
  /** The message whose menu is open, and the place that the menu opens beside. */
  shown: { readonly message: Message; readonly beside: Beside } | null = $state.raw(null);
  /** The menu and the gestures, once they are loaded. */
  loaded: typeof Touched | undefined = $state.raw();

  readonly #messageOf: MessageOf;
  readonly #reply: (message: Message) => void;
  readonly #replies: () => boolean;

  /** `replies` says whether messages of the conversation can be answered. */
  constructor(messageOf: MessageOf, reply: (message: Message) => void, replies: () => boolean) {
    this.#messageOf = messageOf;
    this.#reply = reply;
    this.#replies = replies;
  }

  /** Loads the gestures. A touch screen needs them before the first touch. */
  async load(): Promise<typeof Touched> {
    return (this.loaded ??= await import("./touched"));
  }

  /** Runs `run` with the loaded code, or says that it could not be loaded. */
  async use(run: (loaded: typeof Touched) => unknown): Promise<void> {
    const code = await loaded(() => this.load());
    if (code) await run(code);
  }

  open(message: Message, beside: Beside): Promise<void> {
    return this.use(() => (this.shown = { message, beside }));
  }

  oncontextmenu(event: MouseEvent): void {
    const target = targetOf(event);
    const message = this.#at(target);
    // Links and selected text keep the menu of the browser.
    if (!message || target?.closest("a") || getSelection()?.isCollapsed === false) return;
    event.preventDefault();
    if (touch.now && !(event instanceof PointerEvent && event.pointerType === "mouse")) return; // see gestures.ts
    const place = pointOf(event.clientX, event.clientY);
    if (event.buttons === 0) void this.open(message, place);
    else {
      // Firefox closes a menu that opens while the button is down as soon as it is released.
      const next = new AbortController(); // a release outside the window is not reported
      const released = (): void => {
        next.abort();
        setTimeout(() => void this.open(message, place));
      };
      addEventListener("pointerup", released, { signal: next.signal });
      addEventListener("pointerdown", () => next.abort(), { signal: next.signal });
    }
  }

  onpointerdown(event: PointerEvent): void {
    const target = targetOf(event);
    const article = target?.closest("article");
    const message = this.#at(target);
    if (event.pointerType !== "touch" || !event.isPrimary || !article || !message || !this.loaded) return;
    if (target?.closest("a, button")) return;
    this.loaded.follow(event, article, {
      menu: (x, y) => void this.open(message, pointOf(x, y)),
      reply: message.state !== "refused" && this.#replies() ? () => this.#reply(message) : null,
    });
  }

  /** Handles the keys that open the menu. Returns whether `event` was one of them. */
  onkeydown(event: KeyboardEvent): boolean {
    const article = targetOf(event)?.closest("article");
    const message = article && this.#messageOf(article);
    if (!message || !(event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey))) return false;
    event.preventDefault();
    void this.open(message, (article.querySelector(".bubble") ?? article).getBoundingClientRect());
    return true;
  }

  #at(target: Element | null): Message | undefined {
    const article = target?.closest("article");
    return article ? this.#messageOf(article) : undefined;
  }
}
