/** Names of other users: kept on the device, loaded when they are missing or old. */
import { type ArchiveApi, BATCH_USERS, type PublicUser } from "../../net/archive";
import { ApiProblem } from "../../net/problem";
import { validUid } from "../../protocol/chat";
import type { Cancel, Platform } from "../../platform/platform";
import type { User } from "../interface/user";
import { type Readable, Value } from "../observable";
import type { LocalStore } from "../store/store";
import { applyUser } from "../store/history";
import type { RuleContext } from "../store/rules";
import type { UserRow } from "../store/rows";

/** Names older than this are loaded again when they are shown. */
const FRESH_MS = 10 * 60_000;
const RETRY_MS = 30_000;
/** Users whose names are wanted within this time are loaded with one request. */
const GATHER_MS = 20;
/** The devices that are notified of a new profile load it within this time. */
const SPREAD_MS = 2_000;
/** On a first visit, the list of conversations brings most names. Those that are then missing are loaded after this. */
const LIST_MS = 2_000;

export interface UsersParts {
  readonly platform: Platform;
  readonly store: LocalStore;
  readonly archive: Pick<ArchiveApi, "user" | "usersOf">;
  context(): RuleContext;
}

export function userOf(uid: string, row: UserRow | PublicUser | undefined): User {
  return {
    uid,
    username: row?.username ?? "",
    displayName: row?.displayName || row?.username || "",
    deleted: row?.deleted === true,
    admin: row?.admin === true,
    picture: row?.picture ?? "",
  };
}

/** Returns true if two users, made by {@link userOf}, look the same. */
export function sameUser(a: User, b: User): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export class Users {
  private readonly parts: UsersParts;
  private readonly values = new Map<string, Value<User>>();
  /** When the names of a user were last asked for, by the monotonic clock. */
  private readonly asked = new Map<string, number>();
  /** Users whose profiles have changed while nobody looked at this page. */
  private readonly stale = new Set<string>();
  /** The server asked for a pause until then, by the monotonic clock. */
  private pausedUntil = Number.NEGATIVE_INFINITY;
  /** Users whose names will be loaded, and when they were asked for, in ms since the epoch. */
  private readonly wanted = new Map<string, number>();
  private timer: { readonly at: number; readonly cancel: Cancel } | null = null;
  private readonly unlisten: () => void;

  constructor(parts: UsersParts) {
    this.parts = parts;
    this.unlisten = parts.store.onChange((change) => {
      for (const uid of change.all ? this.values.keys() : change.users) if (this.values.has(uid)) void this.read(uid);
    });
  }

  stop(): void {
    this.unlisten();
    this.timer?.cancel();
    this.wanted.clear();
  }

  user(uid: string): Readable<User> {
    return this.of(uid);
  }

  /**
   * Loads the names of `uid` in the background if none are known, or if the account may have been deleted. `listed`:
   * the list of conversations was loaded; it may still bring them otherwise.
   */
  complete(uid: string, row: UserRow | undefined, listed: boolean): void {
    if (!row || row.loadedAt === 0) this.renew(uid, listed ? GATHER_MS : LIST_MS);
  }

  /**
   * Loads the profile of `uid` again, because it has changed: soon, at another moment on each device, or when the user
   * is shown the next time if nobody looks at this page.
   */
  changed(uid: string, seen: boolean): void {
    this.asked.delete(uid);
    if (seen) this.renew(uid, this.parts.platform.random.unit() * SPREAD_MS);
    else this.stale.add(uid);
  }

  /** Loads the names that the list of conversations did not bring. */
  completeNow(): void {
    if (this.wanted.size > 0) this.schedule(GATHER_MS);
  }

  /** Loads the names of a user who is on the screen in the background, if the known ones are old. */
  show(uid: string): void {
    void this.parts.store
      .read((tx) => tx.user(uid))
      .then(
        (row) => this.want(uid, row),
        () => undefined,
      );
  }

  /** Loads the names of `uid` in the background, unless `row` is recent enough. */
  private want(uid: string, row: UserRow | undefined): void {
    const { platform } = this.parts;
    const now = platform.clock.now();
    if (!this.stale.has(uid) && row && Math.abs(now - row.loadedAt) < FRESH_MS) return;
    this.stale.delete(uid);
    this.renew(uid);
  }

  /** Loads the names of `uid` again in the background. For the few places where an old name would mislead. */
  renew(uid: string, gatherMs = GATHER_MS): void {
    const { clock } = this.parts.platform;
    const now = clock.monotonic();
    const last = this.asked.get(uid);
    if (!validUid(uid) || (last !== undefined && now - last < RETRY_MS)) return;
    this.asked.set(uid, now);
    this.wanted.set(uid, clock.now());
    this.schedule(gatherMs);
  }

  /** Loads what is wanted after `ms`, or after the pause that the server asked for. */
  private schedule(ms: number): void {
    const { clock } = this.parts.platform;
    const at = Math.max(clock.monotonic() + ms, this.pausedUntil);
    if (this.timer && this.timer.at <= at) return;
    this.timer?.cancel();
    const cancel = clock.after(at - clock.monotonic(), () => {
      this.timer = null;
      void this.loadWanted();
    });
    this.timer = { at, cancel };
  }

  private async loadWanted(): Promise<void> {
    const { platform, store } = this.parts;
    const batch = [...this.wanted].slice(0, BATCH_USERS);
    for (const [uid] of batch) this.wanted.delete(uid);
    try {
      const rows = await store.read((tx) => Promise.all(batch.map(([uid]) => tx.user(uid))));
      // The list of conversations may have brought some of them meanwhile.
      const uids = batch.filter(([, since], i) => (rows[i]?.loadedAt ?? 0) < since).map(([uid]) => uid);
      if (uids.length > 0) await this.load(uids);
    } catch (err) {
      if (err instanceof ApiProblem && err.status === 429) {
        for (const [uid, since] of batch) this.wanted.set(uid, since);
        this.pausedUntil = platform.clock.monotonic() + (err.retryAfterMs ?? RETRY_MS);
      } else if (!(err instanceof ApiProblem)) platform.report("users could not be loaded", err);
      // Otherwise tried again when a name is needed the next time.
    }
    if (this.wanted.size > 0) this.schedule(GATHER_MS);
  }

  private of(uid: string): Value<User> {
    let value = this.values.get(uid);
    if (!value) {
      value = new Value(userOf(uid, undefined));
      this.values.set(uid, value);
      void this.read(uid);
    }
    return value;
  }

  private async read(uid: string): Promise<void> {
    try {
      const row = await this.parts.store.read((tx) => tx.user(uid));
      const next = userOf(uid, row);
      this.values.get(uid)?.update((old) => (sameUser(old, next) ? old : next));
      this.want(uid, row);
    } catch (err) {
      this.parts.platform.report("a user could not be read", err);
    }
  }

  private async load(uids: readonly string[]): Promise<void> {
    const { store } = this.parts;
    const [first] = uids;
    const users =
      first !== undefined && uids.length === 1 ? [await this.one(first)] : await this.parts.archive.usersOf(uids);
    await store.write(async (tx) => {
      for (const user of users) if (uids.includes(user.uid)) await applyUser(tx, this.parts.context(), user);
    });
  }

  private async one(uid: string): Promise<PublicUser> {
    try {
      return await this.parts.archive.user(uid);
    } catch (err) {
      if (!(err instanceof ApiProblem && err.status === 404)) throw err;
      return { uid, username: "", displayName: "", deleted: true, admin: false };
    }
  }
}
