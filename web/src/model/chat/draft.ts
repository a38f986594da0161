/** The draft of one conversation, kept on this device and shared by its tabs. */
import type { Cancel, Platform } from "../../platform/platform";
import type { Draft, Quote } from "../interface/conversation";
import { type Readable, Value } from "../observable";
import type { LocalStore } from "../store/store";

export interface DraftParts {
  readonly platform: Platform;
  readonly store: LocalStore;
}

/** A draft is stored when the user pauses for this long. */
const STORE_AFTER_MS = 300;
const NONE: Draft = { text: "", replyTo: null };

export class DraftKeeper {
  private readonly parts: DraftParts;
  private readonly conversation: string;
  private readonly quote: (key: string) => Quote;
  private readonly value = new Value<Draft>(NONE);
  /** Set while the shown draft is newer than the stored one. */
  private timer: Cancel | null = null;
  private readonly unlisten: Cancel;

  constructor(parts: DraftParts, conversation: string, quote: (key: string) => Quote) {
    this.parts = parts;
    this.conversation = conversation;
    this.quote = quote;
    this.unlisten = parts.store.onChange((change) => {
      if (change.all || change.drafts.includes(conversation)) void this.read();
    });
    void this.read();
  }

  get draft(): Readable<Draft> {
    return this.value;
  }

  set(text: string, replyTo: string | null): void {
    const old = this.value.get();
    if (old.text === text && (old.replyTo?.key ?? null) === replyTo) return;
    this.value.set({ text, replyTo: replyTo === null ? null : this.quote(replyTo) });
    this.timer?.();
    this.timer = this.parts.platform.clock.after(STORE_AFTER_MS, () => void this.store());
  }

  /**
   * Clears the draft because it is being sent, and returns it. The caller deletes the stored draft together with
   * storing the message.
   */
  clear(): Draft {
    const draft = this.value.get();
    this.timer?.();
    this.timer = null;
    this.value.set(NONE);
    return draft;
  }

  /** Puts a cleared draft back, unless something else was typed since. */
  restore(draft: Draft): void {
    if (this.value.get().text === "") this.set(draft.text, draft.replyTo?.key ?? null);
  }

  /** Stores a pending draft at once. */
  flush(): void {
    if (this.timer) void this.store();
  }

  close(): void {
    this.flush();
    this.unlisten();
  }

  private async store(): Promise<void> {
    this.timer?.();
    this.timer = null;
    const { text, replyTo } = this.value.get();
    const at = this.parts.platform.clock.now();
    try {
      await this.parts.store.write((tx) =>
        tx.putDraft({ conversation: this.conversation, text, replyTo: replyTo?.key ?? null, at }),
      );
    } catch (err) {
      this.parts.platform.report("a draft could not be stored", err);
    }
  }

  private async read(): Promise<void> {
    try {
      const row = await this.parts.store.read((tx) => tx.draft(this.conversation));
      // Text that is being typed here takes precedence.
      if (this.timer) return;
      const old = this.value.get();
      const text = row?.text ?? "";
      const replyTo = row?.replyTo ?? null;
      if (old.text === text && (old.replyTo?.key ?? null) === replyTo) return;
      this.value.set({ text, replyTo: replyTo === null ? null : this.quote(replyTo) });
    } catch (err) {
      this.parts.platform.report("a draft could not be read", err);
    }
  }
}
