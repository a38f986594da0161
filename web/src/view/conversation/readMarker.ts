import type { Conversation, Message } from "../../model";

/** Marks messages as read that the user has on the screen. */
export class ReadMarker {
  readonly #conversation: Conversation;
  #upTo = -1;
  #key = "";

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
  }

  /** The user sees the messages up to an index. */
  seen(items: readonly Message[], index: number): void {
    let at = Math.min(items.length - 1, index);
    while (at >= 0 && items[at]?.mine === true) at--;
    const message = items[at];
    if (!message || message.key === this.#key || message.time < this.#upTo) return;
    this.#upTo = message.time;
    this.#key = message.key;
    this.#conversation.markRead(message.key);
  }
}
