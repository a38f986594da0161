/** One open conversation: its window of messages, and the user's actions in it. */
import { ApiProblem } from "../../net/problem";
import { checkBody, cleanBody, conversationId, messageKey, type Micros } from "../../protocol/chat";
import { uuidv7 } from "../../protocol/uuid";
import { loadCode } from "../../platform/code";
import type { Cancel } from "../../platform/platform";
import type { Outcome } from "../interface/outcome";
import type { User } from "../interface/user";
import type { Conversation, Draft, OwnChange, Timeline } from "../interface/conversation";
import type { ServerLimits } from "../limits";
import type { Readable } from "../observable";
import { failed, outcome } from "../outcome";
import { enqueue, remove } from "../store/outbox";
import { moveMyRead } from "../store/readMarks";
import { changeRules, type RuleContext } from "../store/rules";
import { choose } from "../store/settings";
import { emptyConversation } from "../store/tx";
import { DraftKeeper } from "./draft";
import type { Users } from "./users";
import type { PresenceTracker } from "./presence";
import { TimelineWindow, type WindowParts } from "./timelineWindow";

export interface ConversationParts extends WindowParts {
  readonly users: Users;
  readonly presences: PresenceTracker;
  readonly limits: ServerLimits;
  context(): RuleContext;
  /** Sends `to` a typing hint. */
  typing(to: string): void;
}

const TYPING_EVERY_MS = 3_000;
/** Scrolling moves the read mark often. It is stored at once, and then at most this often. */
const MARK_EVERY_MS = 300;

export class OpenConversation implements Conversation {
  readonly id: string;
  readonly user: Readable<User>;
  readonly typing: Readable<boolean>;
  readonly timeline: Readable<Timeline>;
  readonly unread: Readable<number>;
  readonly draft: Readable<Draft>;
  private readonly parts: ConversationParts;
  private readonly other: string;
  private readonly window: TimelineWindow;
  private readonly drafts: DraftKeeper;
  private readonly onClose: () => void;
  private lastTyping = Number.NEGATIVE_INFINITY;
  private readTo: Micros = 0;
  private readStored: Micros = 0;
  private readTimer: Cancel | null = null;
  private closed = false;
  private readonly unlisten: Cancel;

  constructor(parts: ConversationParts, other: string, onClose: () => void) {
    this.parts = parts;
    this.other = other;
    this.onClose = onClose;
    this.id = conversationId(parts.uid, other);
    this.user = parts.users.user(other);
    parts.users.renew(other); // the name may have changed
    this.typing = parts.presences.typing(other);
    this.window = new TimelineWindow(parts, this.id, () => this.readTo);
    this.timeline = this.window.timeline;
    this.unread = this.window.unread;
    this.drafts = new DraftKeeper(parts, this.id, (key) => this.window.quote(key));
    this.draft = this.drafts.draft;
    this.unlisten = parts.platform.page.onVisible((visible) => {
      if (!visible) this.onHidden();
    });
  }

  loadOlder(): Promise<void> {
    return this.window.loadOlder();
  }

  reveal(key: string): Promise<boolean> {
    return this.window.reveal(key);
  }

  async send(body: string, replyTo?: string): Promise<Outcome<string>> {
    const text = cleanBody(body);
    const fault = checkBody(text, this.parts.limits.body.get());
    if (fault) return failed(fault);
    const id = this.newId();
    const draft = this.drafts.clear(id);
    const sent = await outcome(async () => {
      await this.parts.store.write(async (tx) => {
        const context = this.parts.context();
        await enqueue(tx, context, { id, to: this.other, body: text, replyTo: replyTo ?? null });
        // The draft is deleted in the transaction that stores the message.
        await tx.putDraft({ conversation: this.id, text: "", replyTo: null, at: context.now });
      });
      return this.keyOf(id);
    });
    // The message was not stored, so the typed text goes back into the draft.
    if (sent.ok) this.drafts.sent();
    else this.drafts.restore(draft);
    this.lastTyping = Number.NEGATIVE_INFINITY;
    return sent;
  }

  retry(key: string): Promise<Outcome<string>> {
    return outcome(async () => {
      const next = this.newId();
      const found = await this.parts.store.write(async (tx) => {
        const row = await remove(tx, this.id, key);
        if (row)
          await enqueue(tx, this.parts.context(), { id: next, to: this.other, body: row.body, replyTo: row.replyTo });
        return row !== null;
      });
      if (!found) throw new ApiProblem(404, "message_gone", "");
      return this.keyOf(next);
    });
  }

  async remove(key: string): Promise<void> {
    const removed = await outcome(() => this.parts.store.write((tx) => remove(tx, this.id, key)));
    if (!removed.ok) this.window.showProblem(removed.problem);
  }

  forward(key: string, to: readonly string[]): Promise<Outcome> {
    return outcome(async () => {
      const copies = to.map((uid) => ({ id: this.newId(), to: uid }));
      const found = await this.parts.store.write(async (tx) => {
        const row = await tx.message(this.id, key);
        if (!row || row.changes?.deleted) return false;
        for (const copy of copies) await enqueue(tx, this.parts.context(), { ...copy, body: row.body, replyTo: null });
        return true;
      });
      if (!found) throw new ApiProblem(404, "message_gone", "");
    });
  }

  async change(key: string, change: OwnChange): Promise<Outcome> {
    const text = change.kind === "edit" ? cleanBody(change.body) : "";
    const fault = change.kind === "edit" && checkBody(text, this.parts.limits.body.get());
    if (fault) return failed(fault);
    const what = { id: this.newId(), conversation: this.id, key };
    const made = change.kind === "edit" ? { ...change, body: text } : change;
    return await outcome(async () => {
      if (change.kind === "react" && change.emoji !== "") {
        const { validEmoji } = await loadCode(() => import("../../protocol/emoji"));
        if (!validEmoji(change.emoji)) throw new ApiProblem(400, "emoji_invalid", "");
      }
      await this.parts.store.write((tx) => changeRules(tx).makeChange(tx, this.parts.context(), what, made));
    });
  }

  setDraft(text: string, replyTo: string | null): void {
    if (!this.closed) this.drafts.set(text, replyTo);
  }

  noteTyping(): void {
    const now = this.parts.platform.clock.monotonic();
    if (now - this.lastTyping < TYPING_EVERY_MS) return;
    this.lastTyping = now;
    this.parts.typing(this.other);
  }

  markRead(key: string): void {
    const at = this.window.row(key)?.at;
    if (this.closed || at === undefined || at === null || at <= this.readTo) return;
    this.readTo = at;
    if (!this.readTimer) void this.storeMark();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.onHidden();
    this.unlisten();
    this.window.close();
    this.drafts.close();
    this.onClose();
  }

  private newId(): string {
    const { clock, random } = this.parts.platform;
    return uuidv7(clock.now(), random.bytes(10));
  }

  /** Returns the key of an own message. */
  private keyOf(id: string): string {
    return messageKey({ id, from: this.parts.uid });
  }

  /** The page may end once it is hidden, so everything that would be stored a moment later is stored now. */
  private onHidden(): void {
    if (this.readTo > this.readStored) void this.storeMark();
    this.drafts.flush();
  }

  private async storeMark(): Promise<void> {
    const at = this.readTo;
    this.readStored = at;
    this.readTimer?.();
    this.readTimer = this.parts.platform.clock.after(MARK_EVERY_MS, () => {
      this.readTimer = null;
      if (this.readTo > this.readStored) void this.storeMark();
    });
    try {
      await this.parts.store.write(async (tx) => {
        const row = (await tx.conversation(this.id)) ?? emptyConversation(this.id, this.other);
        if (row.myRead < at) await moveMyRead(tx, row, at, this.parts.platform.clock.now());
        // Opening a conversation removes the mark "unread".
        const unread = { kind: "unread", conversation: this.id, message: "" };
        await choose(tx, this.parts.context(), this.newId(), unread, 0);
      });
    } catch (err) {
      this.parts.platform.report("a read mark could not be stored", err);
      // Reset, so that the mark is stored when the messages are seen again.
      this.readTo = this.readStored = 0;
    }
  }
}
