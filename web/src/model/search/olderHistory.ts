/**
 * Loads older history while somebody searches, page by page, so that the search finds what is not on this device yet.
 * The pages are stored, and stay when the search is closed.
 */
import type { Cancel, Clock } from "../../platform/platform";
import type { Shortest } from "../history";
import type { LateParts } from "../interface/late";
import type { Problem } from "../interface/outcome";
import { type Readable, Value } from "../observable";
import { outcome } from "../outcome";

/**
 * `loading`: pages are being loaded, or the next one waits for its turn; `stopped` by the user; `limit`: stopped because
 * one search loads no more than MAX_MESSAGES without being asked; `offline`: goes on when the connection is back;
 * `full`: the device has no space for more; `done`: everything is on this device.
 */
export type OlderState = "loading" | "stopped" | "limit" | "offline" | "full" | "done";

export interface OlderProgress {
  readonly state: OlderState;
  /** How many messages this search has loaded. */
  readonly loaded: number;
  /** Everything from this time on is on this device, in ms. Null if that is not known yet, or if everything is. */
  readonly from: number | null;
}

/** Messages per page. */
export const PAGE = 100;
/** The cost of a page in the budget of reading, besides its messages, at most: the call, and the caller's record. */
export const PAGE_EXTRA = 3;
/** Documents that searches may read in a minute: half of the budget of reading, since everything else shares it. */
export const READS_PER_MINUTE = 1_500;
/** The messages that one search loads before it asks whether it should go on. */
export const MAX_MESSAGES = 20_000;

/** How long to wait before the first page, so that somebody who types a name and opens a chat loads nothing. */
const FIRST_MS = 1_000;
/** How long to wait after a failure, if the server does not say. */
const RETRY_MS = 5_000;
/** How long to wait while there is no network, unless the connection is back sooner. */
const OFFLINE_MS = 30_000;
/** After so many failures in a row, a conversation is skipped. */
const MAX_FAILURES = 3;
/** Documents that a page of the list of conversations reads; see readConversations in functions/api/budget.go. */
const LIST_READS = 210;

/** The documents that all searches of this tab may read now. Their number rises with time. */
export class Allowance {
  private readonly clock: Clock;
  private left = READS_PER_MINUTE;
  private at: number;

  constructor(clock: Clock) {
    this.clock = clock;
    this.at = clock.monotonic();
  }

  /** Returns after how many ms there is enough for a page. */
  wait(): number {
    const now = this.clock.monotonic();
    this.left = Math.min(READS_PER_MINUTE, this.left + ((now - this.at) * READS_PER_MINUTE) / 60_000);
    this.at = now;
    return Math.ceil((Math.max(0, PAGE + PAGE_EXTRA - this.left) * 60_000) / READS_PER_MINUTE);
  }

  spend(reads: number): void {
    this.left -= reads;
  }
}

type OlderParts = Pick<
  LateParts,
  "platform" | "store" | "history" | "connection" | "conversations" | "moreConversations"
>;

export class OlderHistory {
  private readonly parts: OlderParts;
  private readonly allowance: Allowance;
  private readonly scope: string | null;
  private readonly value = new Value<OlderProgress>({ state: "loading", loaded: 0, from: null });
  /** Conversations that the server does not show, or whose pages do not stay on this device. */
  private readonly skipped = new Set<string>();
  private failures = 0;
  private readonly most: number;
  private limit: number;
  private timer: Cancel | null = null;
  private busy = false;
  private closed = false;
  private readonly unlisten: () => void;

  /**
   * Begins a moment later. `scope` is a conversation; null: all of them, the newest history first. `most` is the number
   * of messages after which it stops.
   */
  constructor(parts: OlderParts, allowance: Allowance, scope: string | null, most = MAX_MESSAGES) {
    this.most = most;
    this.limit = most;
    this.parts = parts;
    this.allowance = allowance;
    this.scope = scope;
    this.later(FIRST_MS);
    this.unlisten = parts.connection.subscribe(({ state }) => {
      if (state === "online" && this.state === "offline") this.goOn();
    });
  }

  get progress(): Readable<OlderProgress> {
    return this.value;
  }

  /** Stops loading. What was loaded stays. */
  stop(): void {
    if (this.state === "done") return;
    this.timer?.();
    this.set({ state: "stopped" });
  }

  /** Goes on after {@link stop}, or beyond the limit. */
  resume(): void {
    if (this.state === "limit") this.limit = this.value.get().loaded + this.most;
    this.goOn();
  }

  close(): void {
    this.closed = true;
    this.timer?.();
    this.unlisten();
  }

  private get state(): OlderState {
    return this.value.get().state;
  }

  private set(change: Partial<OlderProgress>): void {
    this.value.update((old) => ({ ...old, ...change }));
  }

  private goOn(): void {
    this.set({ state: "loading" });
    this.later(0);
  }

  private later(ms: number): void {
    this.timer?.();
    this.timer = this.parts.platform.clock.after(Math.max(ms, this.allowance.wait()), () => void this.step());
  }

  private async step(): Promise<void> {
    if (this.busy || this.closed || !this.going) return;
    if (this.allowance.wait() > 0) return this.later(0);
    this.busy = true;
    try {
      const next = await this.parts.history.shortest(this.scope, this.skipped);
      const pause = next ? await this.load(next) : await this.loadList();
      if (!this.closed && this.going) this.later(pause);
    } catch (err) {
      this.parts.platform.report("older messages could not be loaded", err);
      this.set({ state: "stopped" });
    } finally {
      this.busy = false;
    }
  }

  private get going(): boolean {
    return this.state === "loading" || this.state === "offline";
  }

  /** Loads one page, unless that is not wanted. Returns how long to wait before the next one. */
  private async load({ conversation, from }: Shortest): Promise<number> {
    if (from !== null) this.set({ from: from / 1000 });
    if (this.value.get().loaded >= this.limit) this.set({ state: "limit" });
    if (["full", "overflow"].includes(this.parts.store.storage.get())) this.set({ state: "full" });
    if (!this.going) return 0;
    const page = await outcome(() => this.parts.history.extend(conversation, PAGE));
    if (!page.ok) return this.failed(page.problem, conversation);
    this.failures = 0;
    this.allowance.spend(page.value + PAGE_EXTRA);
    this.set({
      loaded: this.value.get().loaded + page.value,
      ...(this.state === "offline" ? { state: "loading" } : {}),
    });
    // A full device drops what it has just stored.
    const after = await this.parts.history.shortest(conversation, this.skipped);
    if (after && from !== null && (after.from ?? from) >= from) this.skipped.add(conversation);
    return 0;
  }

  /** Loads one more page of the list of conversations. Returns how long to wait before the next one. */
  private async loadList(): Promise<number> {
    const { conversations } = this.parts;
    if (this.scope !== null || !conversations.get().more) {
      this.set({ state: "done", from: null });
      return 0;
    }
    await this.parts.moreConversations();
    this.allowance.spend(LIST_READS);
    return conversations.get().problem === null ? 0 : RETRY_MS;
  }

  /** Returns how long to wait. Beyond the server's budget, loading only becomes slower. */
  private failed({ code, retryAfterMs }: Problem, conversation: string): number {
    if (code === "offline") {
      if (this.going) this.set({ state: "offline" });
      return OFFLINE_MS;
    }
    if (code === "storage_full") this.set({ state: "full" });
    else if (retryAfterMs === null && ++this.failures >= MAX_FAILURES) {
      this.failures = 0;
      this.skipped.add(conversation);
    }
    return retryAfterMs ?? RETRY_MS;
  }
}
