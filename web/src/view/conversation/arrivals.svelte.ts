import { cut, type Message } from "../../model";
import { text } from "../../text";
import type * as Touched from "./touched";

/** How long a new message takes to appear, in ms. */
const FRESH_MS = 400;
/** Code points of a message that are spoken. */
const SPOKEN = 300;

/** Shows and speaks what has just arrived in a conversation. */
export class Arrivals {
  /** The keys of messages that are appearing. */
  fresh: readonly string[] = $state.raw([]);
  /** For screen readers. */
  announced = $state("");

  readonly #name: () => string;
  readonly #load: () => Promise<typeof Touched>;

  /** `name` is that of the other user. `load` loads the texts about changes. */
  constructor(name: () => string, load: () => Promise<typeof Touched>) {
    this.#name = name;
    this.#load = load;
  }

  /** New messages have come. They are spoken if the page is visible. */
  messages(messages: readonly Message[], visible: boolean): void {
    this.fresh = messages.map((m) => m.key);
    setTimeout(() => (this.fresh = []), FRESH_MS);
    const theirs = messages.filter((m) => !m.mine);
    if (theirs.length > 0 && visible)
      this.announced = theirs.map((m) => text.conversation.spokenNew(this.#name(), cut(m.body, SPOKEN))).join("\n");
  }

  /** Speaks the edits, deletions and reactions of others. */
  async changes(before: readonly Message[], now: readonly Message[]): Promise<void> {
    try {
      const spoken = (await this.#load()).spokenChanges(before, now, this.#name());
      if (spoken !== "") this.announced = spoken;
    } catch {
      // The page is outdated or offline. The change can be seen, and read in the message.
    }
  }
}
