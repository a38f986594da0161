/**
 * Pays the debts of DESIGN §4: loads history after events may have been
 * missed, and messages that were only heard of.
 */
import type { ListedConversation } from "../../net/archive";
import { ApiProblem } from "../../net/problem";
import { Backoff } from "../../net/backoff";
import type { Micros } from "../../protocol/chat";
import type { Cancel } from "../../platform/platform";
import { applyListed, applyPage, type HistoryPage, type Place } from "../store/history";
import type { DebtRow, Loss } from "../store/rows";
import { transmitted } from "../store/tx";
import { type EngineParts, here } from "./ports";

/** Messages of a page. */
export const PAGE = 50;
/** After each load that a loss asks for, the next one: 1, 5 and 15 min after the first. Null: it was the last. */
const NEXT_LOAD_MS: readonly (number | null)[] = [60_000, 240_000, 600_000, null];
/** A message may carry an `at` of some time before it was missed. */
const MARGIN: Micros = 600_000_000;
/** How long before a loss the later loads look. */
const RECENT: Micros = 3_600_000_000;
const MAX_LIST_PAGES = 20;
const MAX_PAGES = 20;
/** On a first visit only conversations with something unread are loaded at once, and so many; others when they are opened. */
const FIRST_CONVERSATIONS = 30;
const FIRST_PAGES = 2;
/** A debt that is not paid after this long is forgotten: its message does not exist any more. */
const FORGET_MS = 7 * 24 * 3_600_000;
const MAX_DEBT_WAIT_MS = 3_600_000;

export class Loader {
  private readonly parts: EngineParts;
  /** History was shown to hold what it holds of a conversation's outbox. */
  private readonly onChecked: () => void;
  private readonly backoff: Backoff;
  private readonly checks = new Set<string>();
  private timer: Cancel | null = null;
  private running = false;
  private again = false;
  private stopped = false;
  /** Before the first link there is nothing to pay that a look at the screen would not load. */
  private reached = false;
  private pausedUntil = 0;

  constructor(parts: EngineParts, onChecked: () => void) {
    this.parts = parts;
    this.onChecked = onChecked;
    this.backoff = new Backoff(parts.platform.random, 1_000, 60_000);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.();
  }

  /** The server is reachable again: what failed for lack of a network is tried at once. */
  reachable(): void {
    this.reached = true;
    this.pausedUntil = 0;
    this.backoff.reset();
    this.wake();
  }

  /** Loads what history has of the outbox of `conversation`, so that it may be sent on. */
  check(conversation: string): void {
    if (this.checks.has(conversation)) return;
    this.checks.add(conversation);
    this.wake();
  }

  /** There may be something to pay. */
  wake(): void {
    if (this.running) {
      this.again = true;
      return;
    }
    void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    this.timer?.();
    this.timer = null;
    try {
      do {
        this.again = false;
        if (this.stopped || !this.reached) return;
        const wait = this.pausedUntil - this.parts.platform.clock.now();
        if (wait > 0) {
          this.later(wait);
          return;
        }
        await this.round();
      } while (this.again);
    } catch (err) {
      // No answer this time, or no room to store it.
      if (!(err instanceof ApiProblem && err.status === 0))
        this.parts.platform.report("history could not be loaded", err);
      const asked = err instanceof ApiProblem ? (err.retryAfterMs ?? 0) : 0;
      const wait = asked + this.backoff.next();
      this.pausedUntil = this.parts.platform.clock.now() + wait;
      this.later(wait);
    } finally {
      this.running = false;
    }
  }

  private later(ms: number): void {
    if (this.stopped) return;
    this.timer?.();
    this.timer = this.parts.platform.clock.after(Math.max(ms, 1), () => {
      this.timer = null;
      this.wake();
    });
  }

  private async round(): Promise<void> {
    for (const conversation of [...this.checks]) {
      await this.checkOutbox(conversation);
      this.checks.delete(conversation);
    }
    const { clock } = this.parts.platform;
    const loss = await this.parts.store.read((tx) => tx.loss());
    if (loss.due !== null && loss.due <= clock.now()) {
      await this.loadLoss(loss);
      this.again = true;
      return;
    }
    const debts = await this.parts.store.read((tx) => tx.debts());
    const [first] = debts;
    if (first?.due !== undefined && first.due <= clock.now()) {
      await this.pay(first);
      this.again = true;
      return;
    }
    const next = Math.min(loss.due ?? Number.POSITIVE_INFINITY, first?.due ?? Number.POSITIVE_INFINITY);
    if (next !== Number.POSITIVE_INFINITY) this.later(next - clock.now());
  }

  /** Loads the newest pages, down to the oldest message of the outbox that was ever transmitted. */
  private async checkOutbox(conversation: string): Promise<void> {
    const { loss, oldest } = await this.parts.store.read(async (tx) => {
      const rows = (await tx.outbox()).filter((r) => r.conversation === conversation && transmitted(r));
      return { loss: await tx.loss(), oldest: Math.min(...rows.map((r) => r.place)) };
    });
    if (oldest !== Number.POSITIVE_INFINITY) await this.loadDown(conversation, oldest, Number.POSITIVE_INFINITY, loss);
    this.onChecked();
  }

  /** One of the loads that a loss asks for: what happened in the meantime, in all conversations. */
  private async loadLoss(loss: Loss): Promise<void> {
    const outbox = await this.parts.store.read((tx) => tx.outbox());
    for (const conversation of new Set(outbox.filter(transmitted).map((r) => r.conversation)))
      await this.checkOutbox(conversation);

    const since = this.sinceOf(loss);
    const listed = await this.loadList(since);
    let loads = 0;
    for (const item of listed) {
      if (since > 0) {
        if (item.lastAt >= since) await this.loadDown(item.id, since, MAX_PAGES, loss);
      } else if (item.unread > 0 && loads++ < FIRST_CONVERSATIONS) {
        await this.loadDown(item.id, item.read[this.parts.uid] ?? 0, FIRST_PAGES, loss);
      }
    }
    const now = this.parts.platform.clock.now();
    await this.parts.store.write(async (tx) => {
      const latest = await tx.loss();
      // Another loss meanwhile begins all of it anew.
      if (latest.n !== loss.n) return;
      const wait = NEXT_LOAD_MS[loss.loads] ?? null;
      await tx.putMeta({
        name: "loss",
        loss: { ...latest, loads: loss.loads + 1, tries: 0, due: wait === null ? null : now + wait },
      });
    });
    this.backoff.reset();
  }

  /** From when on a load looks; 0 for the first load of a first visit, which looks at what is unread. */
  private sinceOf(loss: Loss): Micros {
    const { clock } = this.parts.platform;
    // What is loaded again is for what was saved late, and that is young: history costs reads.
    const recent = this.parts.time.now() - (clock.now() - loss.at) * 1000 - RECENT;
    const since = loss.loads === 0 ? loss.since : Math.max(loss.since, recent);
    return since === 0 ? 0 : since - MARGIN;
  }

  /** Loads the list of conversations, from the newest down to `since`; on a first visit its first page. */
  private async loadList(since: Micros): Promise<ListedConversation[]> {
    const all: ListedConversation[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < (since === 0 ? 1 : MAX_LIST_PAGES); page++) {
      const answer = await this.parts.archive.conversations(cursor);
      const first = page === 0;
      await this.parts.store.write(async (tx) => {
        for (const item of answer.items) await applyListed(tx, here(this.parts), item);
        const list = await tx.meta("list");
        // How far down the list was loaded before still counts.
        if (first && !list?.loaded) await tx.putMeta({ name: "list", next: answer.next, loaded: true });
      });
      all.push(...answer.items);
      const last = answer.items[answer.items.length - 1];
      if (answer.next === null || !last || last.lastAt < since) break;
      cursor = answer.next;
    }
    return all;
  }

  /** Loads pages of a conversation from its end down to `until`. */
  private async loadDown(conversation: string, until: Micros, maxPages: number, loss: Loss): Promise<void> {
    let before: Place | null = null;
    for (let n = 0; n < maxPages; n++) {
      const page = await this.load(conversation, before, loss);
      const [oldest] = page.messages;
      if (!page.more || !oldest || oldest.at < until) return;
      before = { at: oldest.at, id: oldest.id };
    }
  }

  private async load(conversation: string, before: Place | null, loss: Loss): Promise<HistoryPage> {
    let page: HistoryPage = { conversation, before, messages: [], more: false };
    try {
      page = { ...page, ...(await this.parts.archive.messages(conversation, before, PAGE)) };
    } catch (err) {
      // What the server will not give later either (a person who left took it along) must not hold up the rest.
      if (!(err instanceof ApiProblem) || err.passing) throw err;
    }
    await this.parts.store.write((tx) => applyPage(tx, here(this.parts), page, loss));
    return page;
  }

  /** Loads the message that a debt is about. If it is not there yet, it is tried again later. */
  private async pay(debt: DebtRow): Promise<void> {
    const loss = await this.parts.store.read((tx) => tx.loss());
    await this.load(debt.conversation, { at: debt.at + 1, id: "" }, loss);
    const now = this.parts.platform.clock.now();
    await this.parts.store.write(async (tx) => {
      const left = await tx.debt(debt.key);
      if (left?.due === undefined || left.at !== debt.at) return;
      if (now - left.since > FORGET_MS) {
        await tx.deleteDebt(debt.key);
        return;
      }
      const wait = Math.min(MAX_DEBT_WAIT_MS, 5_000 * 2 ** left.tries);
      await tx.putDebt({ ...left, tries: left.tries + 1, due: now + wait });
    });
    this.backoff.reset();
  }
}
