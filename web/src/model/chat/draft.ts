/** The draft of one conversation, kept on this device and shared by its tabs. */
import type { Cancel, Platform } from "../../platform/platform";
import type { Draft, Quote } from "../interface/conversation";
import { type Readable, Value } from "../observable";
import { lateDrafts } from "./lateDrafts";
import type { LocalStore } from "../store/store";

export interface DraftParts {
  readonly platform: Platform;
  readonly store: LocalStore;
  readonly uid: string;
}

/** A draft that was typed shortly before the page was left, when there was no time to store it. */
interface Late {
  readonly text: string;
  readonly replyTo: string | null;
  readonly at: number;
  /** The id of the message as which the text was being sent. */
  readonly sending: string | null;
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
  /** The draft that is being sent, until its message is stored. */
  private sending: { readonly draft: Draft; readonly id: string } | null = null;
  private readonly unlisten: Cancel;
  private readonly unleave: Cancel;

  constructor(parts: DraftParts, conversation: string, quote: (key: string) => Quote) {
    this.parts = parts;
    this.conversation = conversation;
    this.quote = quote;
    this.unlisten = parts.store.onChange((change) => {
      if (change.all || change.drafts.includes(conversation)) void this.read();
    });
    this.unleave = parts.platform.page.onLeave(() => this.leave());
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
   * Clears the draft because it is being sent as message `id`, and returns it. The caller deletes the stored draft
   * together with storing the message, and then calls {@link sent} or {@link restore}.
   */
  clear(id: string): Draft {
    const draft = this.value.get();
    this.sending = { draft, id };
    this.timer?.();
    this.timer = null;
    this.value.set(NONE);
    return draft;
  }

  sent(): void {
    this.sending = null;
  }

  /** Puts a cleared draft back, unless something else was typed since. */
  restore(draft: Draft): void {
    this.sending = null;
    if (this.value.get().text === "") this.set(draft.text, draft.replyTo?.key ?? null);
  }

  /** Stores a pending draft at once. */
  flush(): void {
    if (this.timer) void this.store();
  }

  close(): void {
    this.flush();
    this.unlisten();
    this.unleave();
  }

  /** Notes what is not stored yet, because the page may end. The next visit reads it. */
  private leave(): void {
    const draft = this.timer ? this.value.get() : this.sending?.draft;
    if (!draft) return;
    const late: Late = {
      text: draft.text,
      replyTo: draft.replyTo?.key ?? null,
      at: this.parts.platform.clock.now(),
      sending: this.timer ? null : (this.sending?.id ?? null),
    };
    this.note({ ...this.noted(), [this.conversation]: late });
  }

  private noted(): Record<string, Late> {
    try {
      return JSON.parse(this.parts.platform.notes.get(lateDrafts(this.parts.uid)) ?? "{}") as Record<string, Late>;
    } catch {
      return {};
    }
  }

  private note(drafts: Record<string, Late>): void {
    const { notes } = this.parts.platform;
    const name = lateDrafts(this.parts.uid);
    if (Object.keys(drafts).length > 0) notes.set(name, JSON.stringify(drafts));
    else notes.remove(name);
  }

  /** Removes and returns the draft that an earlier visit noted. */
  private takeLate(): Late | undefined {
    const { [this.conversation]: late, ...others } = this.noted();
    if (late) this.note(others);
    return late;
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
      // The page was hidden and not left.
      if (!this.timer) this.takeLate();
    } catch (err) {
      this.parts.platform.report("a draft could not be stored", err);
    }
  }

  private async read(): Promise<void> {
    try {
      const late = this.noted()[this.conversation];
      const { row, accepted } = await this.parts.store.read(async (tx) => ({
        row: await tx.draft(this.conversation),
        accepted: late?.sending ? await tx.typed(late.sending) : undefined,
      }));
      // Text that is being typed here takes precedence.
      if (this.timer) return;
      if (late) {
        this.takeLate();
        if (!accepted && late.at > (row?.at ?? 0)) {
          this.set(late.text, late.replyTo);
          return;
        }
      }
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
