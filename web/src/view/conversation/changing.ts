import type { Conversation, Message, OwnChange, Problem } from "../../model";
import { laterText } from "../../text/later";
import { messageText } from "../../text/messages";
import { notices } from "../notices.svelte";
import type { problemText } from "../problems";

/** How long the model lets a deletion be undone, in ms. */
const UNDO_MS = 5_000;

/** The function of ../problems. It is passed, because an import would split the code of the first load. */
type ProblemText = typeof problemText;

/** Changes messages of a conversation, and says so if that is impossible. */
export class Changing {
  readonly #conversation: Conversation;
  readonly #problemText: ProblemText;

  constructor(conversation: Conversation, problemTextOf: ProblemText) {
    this.#conversation = conversation;
    this.#problemText = problemTextOf;
  }

  /** Returns the sentence for a change that was not stored, or that was reverted. */
  why(problem: Pick<Problem, "code">): string {
    return this.#problemText(problem, messageText.problems);
  }

  async change(key: string, change: OwnChange): Promise<boolean> {
    const outcome = await this.#conversation.change(key, change);
    if (!outcome.ok) notices.say(this.why(outcome.problem));
    return outcome.ok;
  }

  /** Saves an edited text. Returns why that is impossible, or "". */
  async edit(key: string, body: string): Promise<string> {
    const outcome = await this.#conversation.change(key, { kind: "edit", body });
    return outcome.ok ? "" : this.why(outcome.problem);
  }

  /** Deletes a message for everyone. The deletion waits on the device while it can be undone, also without this page. */
  async deleteForAll({ key }: Message): Promise<void> {
    if (!(await this.change(key, { kind: "delete" }))) return;
    const undoable = await this.#undoable(key);
    const undo = { label: laterText.common.undo, run: () => void this.change(key, { kind: "undo" }) };
    notices.say(messageText.deletedForAll, undoable ? undo : undefined, undefined, false, UNDO_MS);
  }

  /** Sends a refused message again. */
  async retry(key: string): Promise<void> {
    const outcome = await this.#conversation.retry(key);
    if (!outcome.ok) notices.say(this.#problemText(outcome.problem));
  }

  /** Removes a refused message from this device. Until that is done, it is hidden, and it can be undone. */
  remove(key: string, hide: (hidden: boolean) => void): void {
    hide(true);
    const undo = { label: laterText.common.undo, run: () => hide(false) };
    notices.say(messageText.removed, undo, () => void this.#conversation.remove(key));
  }

  /** Resolves once the list shows a deletion, with whether it can be undone. A message that was never sent is gone. */
  #undoable(key: string): Promise<boolean> {
    return new Promise((resolve) => {
      const stop = this.#conversation.timeline.subscribe(({ items }) => {
        const message = items.find((m) => m.key === key);
        if (message && !message.changes?.deleted) return;
        resolve(message?.changes?.undo === true);
        queueMicrotask(() => stop()); // the first call comes from subscribe itself
      });
    });
  }
}
