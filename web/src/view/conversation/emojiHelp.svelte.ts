import type * as Screens from "../emoji/screens";
import { loaded } from "../loaded";
import type { Beside } from "../parts/beside";

/** The beginning of a name after a colon, before the caret. The colon does not follow a letter or a digit. */
const NAME = /(?:^|[^\p{L}\p{N}:])(:[\w+-]{2,32}:?)$/u;

/** Offers emoji for a field, by the name that is typed or in a picker. The emoji are loaded when they are needed. */
export class EmojiHelp {
  /** The emoji and their screens, once they are loaded. */
  code: typeof Screens | undefined = $state.raw();
  /** The name that is being typed, with its colon. Empty if there is none. */
  typed = $state("");
  /** The place that the picker is open beside. */
  picking: Beside | null = $state.raw(null);

  /** Reads the name before the caret of the field. */
  watch({ value, selectionStart, selectionEnd }: HTMLTextAreaElement): void {
    const before = selectionStart === selectionEnd ? value.slice(Math.max(0, selectionStart - 40), selectionStart) : "";
    this.typed = NAME.exec(before)?.[1] ?? "";
    if (this.typed !== "") void this.#load().catch(() => undefined); // the next letter tries again
  }

  async pick(beside: Beside): Promise<void> {
    if (await loaded(() => this.#load())) this.picking = beside;
  }

  async #load(): Promise<typeof Screens> {
    return (this.code ??= await import("../emoji/screens"));
  }
}
