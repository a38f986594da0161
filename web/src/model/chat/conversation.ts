/** One open conversation: its window, and what a person does there. */
import { ApiProblem } from "../../net/problem";
import { checkBody, cleanBody, conversationId, type Micros } from "../../protocol/chat";
import { uuidv7 } from "../../protocol/uuid";
import type { Cancel } from "../../platform/platform";
import type { Outcome } from "../interface/outcome";
import type { Person } from "../interface/person";
import type { Conversation, Draft, Timeline } from "../interface/conversation";
import type { ServerLimits } from "../limits";
import type { Readable } from "../observable";
import { failed, outcome } from "../outcome";
import { enqueue, remove } from "../store/outbox";
import { type Here, moveMyRead } from "../store/rules";
import { emptyConversation } from "../store/tx";
import { DraftKeeper } from "./draft";
import type { People } from "./people";
import type { Signs } from "./signs";
import { TimelineWindow, type WindowParts } from "./window";

export interface ConversationParts extends WindowParts {
  readonly people: People;
  readonly signs: Signs;
  readonly limits: ServerLimits;
  here(): Here;
  /** Tells `to` that this person types. */
  typing(to: string): void;
}

const TYPING_EVERY_MS = 3_000;
/** Scrolling moves the read mark often; it is stored at once, and then at most this often. */
const MARK_EVERY_MS = 300;

export class OpenConversation implements Conversation {
  readonly id: string;
  readonly person: Readable<Person>;
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
    this.person = parts.people.person(other);
    parts.people.renew(other); // they may have another name since
    this.typing = parts.signs.typing(other);
    this.window = new TimelineWindow(parts, this.id);
    this.timeline = this.window.timeline;
    this.unread = this.window.unread;
    this.drafts = new DraftKeeper(parts, this.id, (id) => this.window.quote(id));
    this.draft = this.drafts.draft;
    this.unlisten = parts.platform.page.onVisible((visible) => {
      if (!visible) this.hidden();
    });
  }

  loadOlder(): Promise<void> {
    return this.window.loadOlder();
  }

  reveal(id: string): Promise<boolean> {
    return this.window.reveal(id);
  }

  async send(body: string, replyTo?: string): Promise<Outcome<string>> {
    const text = cleanBody(body);
    const fault = checkBody(text, this.parts.limits.body.get());
    if (fault) return failed(fault);
    const draft = this.drafts.take();
    const id = this.newId();
    const sent = await outcome(async () => {
      await this.parts.store.write(async (tx) => {
        const here = this.parts.here();
        await enqueue(tx, here, { id, to: this.other, body: text, replyTo: replyTo ?? null });
        // The draft and the message that it became change places at once.
        await tx.putDraft({ conversation: this.id, text: "", replyTo: null, at: here.now });
      });
      return id;
    });
    // Not taken: nothing that was typed is lost.
    if (!sent.ok) this.drafts.restore(draft);
    this.lastTyping = Number.NEGATIVE_INFINITY;
    return sent;
  }

  retry(id: string): Promise<Outcome<string>> {
    return outcome(async () => {
      const next = this.newId();
      const found = await this.parts.store.write(async (tx) => {
        const row = await remove(tx, id);
        if (row)
          await enqueue(tx, this.parts.here(), { id: next, to: this.other, body: row.body, replyTo: row.replyTo });
        return row !== null;
      });
      if (!found) throw new ApiProblem(404, "message_gone", "");
      return next;
    });
  }

  async remove(id: string): Promise<void> {
    const removed = await outcome(() => this.parts.store.write((tx) => remove(tx, id)));
    if (!removed.ok) this.window.trouble(removed.problem);
  }

  setDraft(text: string, replyTo: string | null): void {
    if (!this.closed) this.drafts.set(text, replyTo);
  }

  noteTyping(): void {
    const now = this.parts.platform.clock.now();
    if (Math.abs(now - this.lastTyping) < TYPING_EVERY_MS) return;
    this.lastTyping = now;
    this.parts.typing(this.other);
  }

  markRead(id: string): void {
    const at = this.window.row(id)?.at;
    if (this.closed || at === undefined || at === null || at <= this.readTo) return;
    this.readTo = at;
    if (!this.readTimer) void this.storeMark();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.hidden();
    this.unlisten();
    this.window.close();
    this.drafts.close();
    this.onClose();
  }

  private newId(): string {
    const { clock, random } = this.parts.platform;
    return uuidv7(clock.now(), random.bytes(10));
  }

  /** Nobody looks any more, and the page may end: what would be stored a moment later is stored now. */
  private hidden(): void {
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
      });
    } catch (err) {
      this.parts.platform.report("a read mark could not be stored", err);
      // Seen again, it is stored again.
      this.readTo = this.readStored = 0;
    }
  }
}
