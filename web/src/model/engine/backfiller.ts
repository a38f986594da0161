/**
 * Loads messages that this device has missed (the backfills of DESIGN §4): history after a gap, and single messages
 * that an event referred to.
 */
import { BATCH_MESSAGES, type HistoryPart, type ListedConversation, type PageRequest } from "../../net/archive";
import { ApiProblem } from "../../net/problem";
import { Backoff } from "../../net/backoff";
import { messageKey, type Micros, type SavedMessage } from "../../protocol/chat";
import { loadCode } from "../../platform/code";
import type { Cancel } from "../../platform/platform";
import { applySaved } from "../store/rules";
import { applyListed, applyPage, type HistoryPage } from "../store/history";
import { type Backfill, type Gap, isChange, type Queued } from "../store/rows";
import { transmitted, type WriteTx } from "../store/tx";
import { contextOf, type EngineParts } from "./ports";

/** Messages per page. */
export const PAGE = 50;
/** Messages that are loaded from each of many conversations at first. */
const FEW = 10;
/** When the loads of a gap run, after it was found. */
const LOADS_AT_MS = [0, 60_000, 300_000, 900_000];
/** The `at` of a missed message may lie this long before the gap. */
const MARGIN: Micros = 600_000_000;
/** The later loads of a gap go back only this long before it. */
const RECENT: Micros = 3_600_000_000;
/** The most messages that one load of a gap looks up by their keys. */
const MAX_LOOKUPS = 100;
const MAX_LIST_PAGES = 20;
const MAX_PAGES = 20;
/** On a first visit, only this many conversations with unread messages are loaded at once. Others load when opened. */
const FIRST_CONVERSATIONS = 30;
const FIRST_PAGES = 2;
/** A backfill that did not succeed for this long is dropped: its message does not exist any more. */
const FORGET_MS = 7 * 24 * 3_600_000;
const MAX_RETRY_WAIT_MS = 3_600_000;
const MAX_LOAD_WAIT_MS = Math.max(...LOADS_AT_MS.map((at, n) => at - (LOADS_AT_MS[n - 1] ?? 0)));

/**
 * Whether a stored time has come. A time further ahead than anything is ever scheduled was set before this device's
 * clock was put back.
 */
function isDue(due: number, now: number, longest: number): boolean {
  return due <= now || due > now + longest;
}

/** The fields that identify a message. */
interface Key {
  readonly conversation: string;
  readonly key: string;
}

/** A conversation to load from its end down to `until`. */
interface Target {
  readonly conversation: string;
  readonly until: Micros;
}

/** Records what the list contains for a device that has not caught up yet (see MetaRow). */
async function noteListed(tx: WriteTx, listed: readonly ListedConversation[]): Promise<void> {
  const replay = await tx.replay();
  if (replay && !replay.listed) await tx.putMeta({ ...replay, listed: replay.live ? [] : listed });
}

/** Whether it is a message that history may show. */
function mayBeSaved(row: Queued): boolean {
  return transmitted(row) && !isChange(row);
}

/** A final refusal (the other user may have deleted the conversation) must not block the other loads. */
function skipRefused(err: unknown): undefined {
  if (!(err instanceof ApiProblem) || err.retryable) throw err;
}

export class Backfiller {
  private readonly parts: EngineParts;
  /** Called when history has shown which messages of an outbox were delivered. */
  private readonly onChecked: () => void;
  private readonly backoff: Backoff;
  private readonly checks = new Set<string>();
  private timer: Cancel | null = null;
  private running = false;
  private again = false;
  private stopped = false;
  /** False before the first link. Until then, opening a conversation loads everything that a backfill would. */
  private reached = false;
  private pausedUntil = Number.NEGATIVE_INFINITY;
  /** The server asked for a pause, which a new link does not end. */
  private askedToPause = false;

  constructor(parts: EngineParts, onChecked: () => void) {
    this.parts = parts;
    this.onChecked = onChecked;
    this.backoff = new Backoff(parts.platform.random, 1_000, 60_000);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.();
  }

  /** Retries at once what failed for lack of a network, because the server is reachable again. */
  reachable(): void {
    this.reached = true;
    if (!this.askedToPause) this.pausedUntil = Number.NEGATIVE_INFINITY;
    this.backoff.reset();
    this.wake();
  }

  /** Loads the part of history that overlaps the outbox of `conversation`, so that the outbox may be sent. */
  check(conversation: string): void {
    if (this.checks.has(conversation)) return;
    this.checks.add(conversation);
    this.wake();
  }

  /** Called when there may be something to backfill. */
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
        const wait = this.pausedUntil - this.parts.platform.clock.monotonic();
        if (wait > 0) {
          this.wakeAfter(wait);
          return;
        }
        this.askedToPause = false;
        await this.round();
      } while (this.again);
    } catch (err) {
      // The request failed, or the answer could not be stored.
      if (!(err instanceof ApiProblem && err.status === 0))
        this.parts.platform.report("history could not be loaded", err);
      void this.skipList();
      const asked = err instanceof ApiProblem ? (err.retryAfterMs ?? 0) : 0;
      const wait = asked + this.backoff.next();
      this.askedToPause = err instanceof ApiProblem && err.status === 429;
      this.pausedUntil = this.parts.platform.clock.monotonic() + wait;
      this.wakeAfter(wait);
    } finally {
      this.running = false;
    }
  }

  /** A new device must not wait for a list that cannot be loaded. */
  private async skipList(): Promise<void> {
    try {
      await this.parts.store.write(async (tx) => await noteListed(tx, []));
    } catch (err) {
      this.parts.platform.report("the replay could not be ended", err);
    }
  }

  private wakeAfter(ms: number): void {
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
    const now = this.parts.platform.clock.now();
    const gap = await this.parts.store.read((tx) => tx.gap());
    if (gap.due !== null && isDue(gap.due, now, MAX_LOAD_WAIT_MS)) {
      await this.backfillGap(gap);
      this.again = true;
      return;
    }
    const backfills = await this.parts.store.read((tx) => tx.backfills());
    const [first] = backfills;
    const isNow = ({ due }: Backfill): boolean => due !== undefined && isDue(due, now, MAX_RETRY_WAIT_MS);
    if (first && isNow(first)) {
      if (first.kind === "changed")
        await this.backfillChanged(backfills.filter((b) => b.kind === "changed" && isNow(b)).slice(0, MAX_LOOKUPS));
      else await this.backfillMessage(first);
      this.again = true;
      return;
    }
    const next = Math.min(gap.due ?? Number.POSITIVE_INFINITY, first?.due ?? Number.POSITIVE_INFINITY);
    if (next !== Number.POSITIVE_INFINITY) this.wakeAfter(next - now);
  }

  /** Loads the newest pages, down to the oldest message in the outbox that was ever transmitted. */
  private async checkOutbox(conversation: string): Promise<void> {
    const { gap, oldest } = await this.parts.store.read(async (tx) => {
      const rows = (await tx.outbox()).filter((r) => r.conversation === conversation && mayBeSaved(r));
      return { gap: await tx.gap(), oldest: Math.min(...rows.map((r) => r.place)) };
    });
    if (oldest !== Number.POSITIVE_INFINITY)
      await this.loadDown([{ conversation, until: oldest }], Number.POSITIVE_INFINITY, gap);
    this.onChecked();
  }

  /** Runs one of the loads of a gap: everything that happened during the gap, in all conversations. */
  private async backfillGap(gap: Gap): Promise<void> {
    const outbox = await this.parts.store.read((tx) => tx.outbox());
    for (const conversation of new Set(outbox.filter(mayBeSaved).map((r) => r.conversation)))
      await this.checkOutbox(conversation);

    const elapsedMs = (this.parts.time.now() - gap.foundAt) / 1000;
    const since = this.sinceOf(gap);
    if (since > 0) await this.loadChanges(since);
    const listed = await this.loadList(since);
    if (since > 0) {
      const changed = listed.filter((item) => item.lastAt >= since);
      await this.loadDown(
        changed.map(({ id }) => ({ conversation: id, until: since })),
        MAX_PAGES,
        gap,
      );
    } else {
      const unread = listed.filter((item) => item.unread > 0).slice(0, FIRST_CONVERSATIONS);
      await this.loadDown(
        unread.map(({ id, read }) => ({ conversation: id, until: read[this.parts.uid] ?? 0 })),
        FIRST_PAGES,
        gap,
      );
    }
    await this.confirmHeard(gap);
    // The list has the settings of its conversations already.
    if (gap.loads === 0) await (await loadCode(() => import("./settings"))).loadSettings(this.parts);
    const now = this.parts.platform.clock.now();
    await this.parts.store.write(async (tx) => {
      const latest = await tx.gap();
      // A newer gap starts over.
      if (latest.n !== gap.n) return;
      // A load covers the later ones whose time has come as well, as after the device was away.
      const loads = Math.max(gap.loads + 1, LOADS_AT_MS.filter((at) => at <= elapsedMs).length);
      const next = LOADS_AT_MS[loads];
      const due = next === undefined ? null : now + next - (LOADS_AT_MS[loads - 1] ?? 0);
      await tx.putMeta({ name: "gap", gap: { ...latest, loads, tries: 0, due } });
    });
    this.backoff.reset();
  }

  /** Loads the changes that were saved since then, of messages that this device has. */
  private async loadChanges(since: Micros): Promise<void> {
    const { archive, store } = this.parts;
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof archive.changes>> | undefined = await archive
        .changes(since, cursor)
        .catch(skipRefused);
      if (!page) return;
      await store.write(async (tx) => {
        // Those of other messages come with their pages.
        for (const message of page.items)
          if (await tx.message(message.conversation, messageKey(message)))
            await applySaved(tx, contextOf(this.parts), message);
        // Too many: the stored pages are loaded again when they are opened.
        if (page.reload)
          for (const row of await tx.conversations())
            await tx.putConversation({ ...row, loadedFrom: null, complete: false });
      });
      cursor = page.next;
    } while (cursor !== null);
  }

  /**
   * Looks up what is saved under the keys of messages whose corrections may have been missed: those that events brought
   * shortly before the gap, or during it, and that no page of history has shown.
   */
  private async confirmHeard(gap: Gap): Promise<void> {
    const { store } = this.parts;
    await this.lookUp(await store.read((tx) => tx.heard(gap.since - MARGIN, gap.foundAt, MAX_LOOKUPS)));
  }

  private async lookUp(rows: readonly Key[]): Promise<void> {
    const found = await this.saved(rows);
    if (found.length === 0) return;
    await this.parts.store.write(async (tx) => {
      for (const message of found) await applySaved(tx, contextOf(this.parts), message);
    });
  }

  /** Returns those of the messages that are saved. A final refusal of one does not hide the others. */
  private async saved(rows: readonly Key[]): Promise<readonly SavedMessage[]> {
    const found = await this.parts.archive.saved(rows).catch(skipRefused);
    if (found || rows.length === 1) return found ?? [];
    const each: SavedMessage[] = [];
    for (const row of rows) each.push(...(await this.saved([row])));
    return each;
  }

  /** Returns how far back a load goes. 0 for the first load of a first visit, which loads unread messages. */
  private sinceOf(gap: Gap): Micros {
    // Reloads only look for messages that were saved late, so they go back RECENT. Each page costs Firestore reads.
    const since = gap.loads === 0 ? gap.since : Math.max(gap.since, gap.foundAt - RECENT);
    return since === 0 ? 0 : since - MARGIN;
  }

  /** Loads the list of conversations, newest first, down to `since`. On a first visit, loads the first page only. */
  private async loadList(since: Micros): Promise<ListedConversation[]> {
    const all: ListedConversation[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < (since === 0 ? 1 : MAX_LIST_PAGES); page++) {
      const answer = await this.parts.archive.conversations(cursor);
      const first = page === 0;
      await this.parts.store.write(async (tx) => {
        for (const item of answer.items) await applyListed(tx, contextOf(this.parts), item);
        const list = await tx.meta("list");
        // Keeps how far down the list was loaded before.
        if (first && !list?.loaded) await tx.putMeta({ name: "list", next: answer.next, loaded: true });
        await noteListed(tx, answer.items);
      });
      all.push(...answer.items);
      const last = answer.items[answer.items.length - 1];
      if (answer.next === null || !last || last.lastAt < since) break;
      cursor = answer.next;
    }
    return all;
  }

  /**
   * Loads conversations from their ends down, each at most `maxPages` pages. If there are many, the first requests load
   * few messages of each, because most conversations need no more.
   */
  private async loadDown(targets: readonly Target[], maxPages: number, gap: Gap): Promise<void> {
    let open: readonly (Target & PageRequest)[] = targets.map((target) => ({ ...target, before: null }));
    for (let loaded = 0; open.length > 0 && loaded < maxPages * PAGE;) {
      const share = Math.max(FEW, Math.floor(BATCH_MESSAGES / open.length));
      const limit = Math.min(share, PAGE - (loaded % PAGE));
      const atOnce = Math.floor(BATCH_MESSAGES / limit);
      const left: (Target & PageRequest)[] = [];
      for (let n = 0; n < open.length; n += atOnce) {
        const asked = open.slice(n, n + atOnce);
        const pages = await this.load(asked, limit, gap);
        for (const [i, { messages, more }] of pages.entries()) {
          const [oldest] = messages;
          const target = asked[i];
          if (target && oldest && more && oldest.at >= target.until)
            left.push({ ...target, before: { at: oldest.at, key: messageKey(oldest) } });
        }
      }
      open = left;
      loaded += limit;
    }
  }

  private async load(asked: readonly PageRequest[], limit: number, gap: Gap): Promise<readonly HistoryPage[]> {
    const found = await this.pages(asked, limit);
    const pages = asked.map(({ conversation, before }, i): HistoryPage => ({
      conversation,
      before,
      messages: [],
      more: false,
      ...found[i],
    }));
    await this.parts.store.write(async (tx) => {
      for (const page of pages) await applyPage(tx, contextOf(this.parts), page, gap);
    });
    return pages;
  }

  /** Returns pages, in this order. One that is refused for good is undefined. */
  private async pages(asked: readonly PageRequest[], limit: number): Promise<readonly (HistoryPart | undefined)[]> {
    const { archive } = this.parts;
    const found = asked.length > 1 ? await archive.pages(asked, limit).catch(skipRefused) : undefined;
    if (found) return found;
    const each: (HistoryPart | undefined)[] = [];
    for (const { conversation, before } of asked)
      each.push(await archive.messages(conversation, before, limit).catch(skipRefused));
    return each;
  }

  /** Loads the message of one backfill. If it is not saved yet, schedules another attempt. */
  private async backfillMessage(backfill: Backfill): Promise<void> {
    const gap = await this.parts.store.read((tx) => tx.gap());
    await this.load([{ conversation: backfill.conversation, before: { at: backfill.at + 1, key: "" } }], PAGE, gap);
    await this.putOff([backfill]);
  }

  /** Loads messages of which changes are kept. */
  private async backfillChanged(backfills: readonly Backfill[]): Promise<void> {
    await this.lookUp(
      backfills.map(({ conversation, key }) => ({ conversation, key: key.slice(key.lastIndexOf("/") + 1) })),
    );
    await this.putOff(backfills);
  }

  /** Schedules the next attempt of those backfills that are not done. */
  private async putOff(backfills: readonly Backfill[]): Promise<void> {
    const now = this.parts.platform.clock.now();
    await this.parts.store.write(async (tx) => {
      for (const { key, at } of backfills) {
        const left = await tx.backfill(key);
        if (left?.due === undefined || left.at !== at) continue;
        if (now - left.since > FORGET_MS) {
          await tx.deleteBackfill(key);
          continue;
        }
        const wait = Math.min(MAX_RETRY_WAIT_MS, 5_000 * 2 ** left.tries);
        await tx.putBackfill({ ...left, tries: left.tries + 1, due: now + wait });
      }
    });
    this.backoff.reset();
  }
}
