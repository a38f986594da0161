/** The list of conversations, kept up to date with the store. */
import { cut } from "../../protocol/text";
import type { ArchiveApi } from "../../net/archive";
import type { Cancel, Platform } from "../../platform/platform";
import type { ConversationList, ConversationSummary } from "../interface/lists";
import type { Problem } from "../interface/outcome";
import { messageKey } from "../../protocol/chat";
import { type Readable, Value } from "../observable";
import { problemOf } from "../outcome";
import type { LocalStore } from "../store/store";
import type { Change } from "../store/change";
import { applyListed } from "../store/history";
import { unreadOf } from "../store/readMarks";
import { isRequest, shownPreview } from "../store/requests";
import type { RuleContext } from "../store/rules";
import { ALWAYS, settingKey } from "../store/settings";
import type { ConversationRow, DraftRow, MessageRow, ReplayRow, SettingRow, UserRow } from "../store/rows";
import type { ReadTx } from "../store/tx";
import type { ServerTime } from "../time";
import { type Users, userOf } from "./users";
import type { PresenceTracker } from "./presence";
import { stateOf } from "./messageState";

export interface ListParts {
  readonly platform: Platform;
  readonly uid: string;
  readonly store: LocalStore;
  readonly archive: Pick<ArchiveApi, "conversations">;
  readonly time: ServerTime;
  readonly users: Users;
  readonly presences: PresenceTracker;
  context(): RuleContext;
  /** Called for a conversation with unread messages of which it is not known whether the user has answered. */
  onUnsure(id: string): void;
}

interface Line {
  readonly row: ConversationRow;
  readonly summary: ConversationSummary;
}

/** The most conversations that are held in memory. Older ones are reached through search and history. */
const MAX_LINES = 1_000;
/** How long to wait after the store could not be read. */
const RETRY_MS = 1_000;

export class Conversations {
  private readonly parts: ListParts;
  private readonly value = new Value<ConversationList>({
    items: [],
    archived: [],
    requests: [],
    all: [],
    loading: true,
    more: false,
    problem: null,
  });
  private readonly unreadValue = new Value(0);
  private readonly waitingValue = new Value(0);
  private lines = new Map<string, Line>();
  private read = false;
  private readonly dirty = new Set<string>();
  private dirtyAll = true;
  private reading = false;
  private stopped = false;
  /** Whether the server's list was loaded once, and the cursor of its next page. */
  private listed: { loaded: boolean; next: string | null } = { loaded: false, next: null };
  private replay: ReplayRow | null = null;
  /** The conversations in which this user's own messages wait. */
  private writing: ReadonlySet<string> = new Set();
  private loadingMore = false;
  private pausedUntil = Number.NEGATIVE_INFINITY;
  private problem: Problem | null = null;
  private blocked: readonly string[] = [];
  /** Ends the wait for the end of a mute. */
  private muteEnds: Cancel = () => undefined;
  private readonly ends: (() => void)[];

  constructor(parts: ListParts) {
    this.parts = parts;
    this.ends = [
      parts.store.onChange((change) => this.changed(change)),
      parts.presences.onTyping((uid) => {
        for (const line of this.lines.values()) if (line.row.other === uid) this.mark(line.row.id);
      }),
    ];
    this.schedule();
  }

  get list(): Readable<ConversationList> {
    return this.value;
  }

  get unread(): Readable<number> {
    return this.unreadValue;
  }

  get waiting(): Readable<number> {
    return this.waitingValue;
  }

  stop(): void {
    this.stopped = true;
    this.muteEnds();
    for (const end of this.ends) end();
  }

  /** Loads the next page of the server's list. */
  async more(): Promise<void> {
    const { next } = this.listed;
    // While the server has asked for a pause, scrolling does not end it.
    if (this.loadingMore || next === null || this.parts.platform.clock.monotonic() < this.pausedUntil) return;
    this.loadingMore = true;
    try {
      const page = await this.parts.archive.conversations(next);
      await this.parts.store.write(async (tx) => {
        for (const item of page.items) await applyListed(tx, this.parts.context(), item);
        await tx.putMeta({ name: "list", next: page.next, loaded: true });
      });
      this.problem = null;
    } catch (err) {
      const problem = problemOf(err);
      this.problem = problem;
      // The list goes on by itself after the pause that the server asked for.
      if (problem.retryAfterMs !== null) {
        const { clock } = this.parts.platform;
        this.pausedUntil = clock.monotonic() + problem.retryAfterMs;
        this.ends.push(
          clock.after(problem.retryAfterMs, () => {
            if (!this.stopped) void this.more();
          }),
        );
      }
    } finally {
      this.loadingMore = false;
    }
    this.publish();
  }

  /** Sets the problem that the list shows while it is empty because the first load failed. */
  setProblem(problem: Problem | null): void {
    this.problem = problem;
    this.publish();
  }

  /** Shows no requests of these users. */
  hide(uids: readonly string[]): void {
    this.blocked = uids;
    this.publish();
  }

  private changed(change: Change): void {
    if (change.all || change.meta.includes("replay")) this.dirtyAll = true;
    for (const id of [...change.conversations, ...change.settings]) this.dirty.add(id);
    for (const uid of change.users)
      for (const line of this.lines.values()) if (line.row.other === uid) this.dirty.add(line.row.id);
    if (this.dirtyAll || this.dirty.size > 0 || change.meta.includes("list")) this.schedule();
  }

  private mark(id: string): void {
    this.dirty.add(id);
    this.schedule();
  }

  private schedule(): void {
    if (!this.reading && !this.stopped) void this.refresh();
  }

  private async refresh(): Promise<void> {
    this.reading = true;
    try {
      do {
        const all = this.dirtyAll;
        const ids = [...this.dirty];
        this.dirtyAll = false;
        this.dirty.clear();
        await this.parts.store.read((tx) => this.readLines(tx, all ? null : ids));
        this.read = true;
        this.publish();
      } while (this.dirtyAll || this.dirty.size > 0);
    } catch (err) {
      this.parts.platform.report("the list could not be read", err);
      // The set of changes is lost, so everything is read again.
      this.dirtyAll = true;
      this.ends.push(this.parts.platform.clock.after(RETRY_MS, () => this.schedule()));
    } finally {
      this.reading = false;
    }
  }

  private async readLines(tx: ReadTx, ids: readonly string[] | null): Promise<void> {
    const list = await tx.meta("list");
    if (list?.loaded && !this.listed.loaded) this.parts.users.completeNow();
    this.listed = { loaded: list?.loaded ?? false, next: list?.next ?? null };
    this.replay = await tx.replay();
    const outbox = await tx.outbox();
    this.writing = new Set(outbox.map((r) => r.conversation));
    this.waitingValue.set(outbox.filter((r) => r.status === "waiting").length);
    if (ids === null) this.lines = new Map();
    // All reads of a step are requested at once, because the list may have a thousand lines.
    const rows = ids === null ? await tx.conversations(MAX_LINES) : await this.readRows(tx, ids);
    const all = ids === null ? new Map((await tx.settings()).map((row) => [row.key, row])) : null;
    await Promise.all(rows.map(async (row) => this.readLine(tx, row, await settingsOf(tx, row.id, all))));
  }

  /** Returns the rows of conversations. Removes the lines of those that do not exist any more. */
  private async readRows(tx: ReadTx, ids: readonly string[]): Promise<ConversationRow[]> {
    const rows: ConversationRow[] = [];
    await Promise.all(
      ids.map(async (id) => {
        const row = await tx.conversation(id);
        if (row) rows.push(row);
        else this.lines.delete(id);
      }),
    );
    return rows;
  }

  private async readLine(tx: ReadTx, stored: ConversationRow, settings: Settings): Promise<void> {
    const row = this.replay ? this.asListed(stored, this.replay) : stored;
    const [message, user, draft] = await Promise.all([
      row.preview && row.preview === stored.preview ? tx.message(row.id, messageKey(row.preview)) : undefined,
      tx.user(row.other),
      tx.draft(row.id),
    ]);
    this.parts.users.complete(row.other, user, this.listed.loaded);
    if (row.answered === undefined && row.unread > 0) this.parts.onUnsure(row.id);
    const summary = this.summary(row, settings, message, user, draft);
    const old = this.lines.get(row.id);
    this.lines.set(row.id, { row, summary: old && same(old.summary, summary) ? old.summary : summary });
  }

  /** Returns the row of a device that has not caught up yet as the server listed it (see MetaRow). */
  private asListed(row: ConversationRow, { listed }: ReplayRow): ConversationRow {
    const there = listed?.find((item) => item.id === row.id);
    const preview = there?.preview;
    return {
      ...row,
      unread: row.myRead > row.unreadMark ? row.unread : 0,
      ...(this.writing.has(row.id)
        ? {}
        : {
            recent: there?.lastAt ?? 0,
            preview: preview ? { id: preview.id, from: preview.from, body: preview.text, at: preview.at } : null,
          }),
    };
  }

  private summary(
    row: ConversationRow,
    { pin, mute, archive, unread }: Settings,
    message: MessageRow | undefined,
    user: UserRow | undefined,
    draft: DraftRow | undefined,
  ): ConversationSummary {
    const preview = shownPreview(row);
    const mine = preview?.from === this.parts.uid;
    const mutedUntil = mute?.value === ALWAYS ? Number.POSITIVE_INFINITY : (mute?.value ?? 0) / 1000;
    return {
      id: row.id,
      user: userOf(row.other, user),
      preview: preview && {
        body: preview.body,
        mine,
        state: message
          ? stateOf(message, row)
          : preview.at <= (mine ? row.otherRead : row.myRead)
            ? "read"
            : "delivered",
        time: message?.at === null ? this.parts.time.ofLocal(message.typedAt ?? 0) : preview.at / 1000,
      },
      unread: unreadOf(row),
      marked: unread?.value === 1,
      pinned: pin?.value === 1,
      mutedUntil,
      archived: archive?.value === 1 && (mutedUntil === Number.POSITIVE_INFINITY || (preview?.at ?? 0) <= archive.at),
      request: isRequest(row),
      draft: cut(draft?.text ?? "", 200),
      typing: this.parts.presences.typing(row.other).get(),
    };
  }

  private publish(): void {
    const shown = [...this.lines.values()].filter((l) => l.summary.preview !== null || l.summary.draft !== "");
    shown.sort((a, b) => b.row.recent - a.row.recent || (a.row.id < b.row.id ? -1 : 1));
    const all = shown.map((l) => l.summary);
    const chats = all.filter((i) => !i.request && !i.archived);
    const items = [...chats.filter((i) => i.pinned), ...chats.filter((i) => !i.pinned)];
    const archived = all.filter((i) => !i.request && i.archived);
    const requests = all.filter((i) => i.request && !this.blocked.includes(i.user.uid));
    this.countUnread(items);
    const loading = !this.read || (all.length === 0 && !this.listed.loaded && this.problem === null);
    const more = this.listed.next !== null;
    const old = this.value.get();
    const next = {
      items: kept(old.items, items),
      archived: kept(old.archived, archived),
      requests: kept(old.requests, requests),
      all: kept(old.all, all),
      loading,
      more,
      problem: this.problem,
    };
    if ((Object.keys(next) as (keyof ConversationList)[]).some((key) => next[key] !== old[key])) this.value.set(next);
  }

  /** Counts the unread messages of all conversations that are not muted, now and when the next mute ends. */
  private countUnread(items: readonly ConversationSummary[]): void {
    this.muteEnds();
    const now = this.parts.time.now() / 1000;
    let next = Number.POSITIVE_INFINITY;
    let count = 0;
    for (const { unread, marked, mutedUntil } of items) {
      if (mutedUntil > now) next = Math.min(next, mutedUntil);
      else count += unread || Number(marked);
    }
    this.unreadValue.set(count);
    if (next < Number.POSITIVE_INFINITY && !this.stopped)
      this.muteEnds = this.parts.platform.clock.after(next - now, () => this.publish());
  }
}

/** Returns `old` if it has the same entries. */
function kept<T>(old: readonly T[], next: readonly T[]): readonly T[] {
  return next.length === old.length && next.every((item, i) => item === old[i]) ? old : next;
}

const KINDS = ["pin", "mute", "archive", "unread"] as const;

/** The settings of a conversation, by kind. */
type Settings = Partial<Record<(typeof KINDS)[number], SettingRow | undefined>>;

/** Returns the settings of a conversation. `all` has all settings if they have been read. */
async function settingsOf(
  tx: ReadTx,
  conversation: string,
  all: ReadonlyMap<string, SettingRow> | null,
): Promise<Settings> {
  const found: Settings = {};
  for (const kind of KINDS) {
    const key = settingKey({ kind, conversation, message: "" });
    found[kind] = all ? all.get(key) : await tx.setting(key);
  }
  return found;
}

/** Returns true if two summaries show the same. They are plain data. */
function same(a: ConversationSummary, b: ConversationSummary): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
