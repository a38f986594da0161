/** Names of other users: kept on the device, loaded when they are missing or old. */
import type { ArchiveApi } from "../../net/archive";
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
const FRESH_MS = 24 * 3_600_000;
const RETRY_MS = 30_000;

export interface UsersParts {
  readonly platform: Platform;
  readonly store: LocalStore;
  readonly archive: Pick<ArchiveApi, "user">;
  context(): RuleContext;
}

export function userOf(uid: string, row: UserRow | undefined): User {
  return {
    uid,
    username: row?.username ?? "",
    displayName: row?.displayName || row?.username || "",
    deleted: row?.deleted === true,
    admin: row?.admin === true,
  };
}

export function sameUser(a: User, b: User): boolean {
  return a.username === b.username && a.displayName === b.displayName && a.deleted === b.deleted && a.admin === b.admin;
}

export class Users {
  private readonly parts: UsersParts;
  private readonly values = new Map<string, Value<User>>();
  /** When the names of a user were last asked for, by the monotonic clock. */
  private readonly asked = new Map<string, number>();
  /** The server asked for a pause until then, by the monotonic clock. */
  private pausedUntil = Number.NEGATIVE_INFINITY;
  /** Users whose names are loaded after the pause. */
  private readonly later = new Set<string>();
  private timer: Cancel | null = null;
  private readonly unlisten: () => void;

  constructor(parts: UsersParts) {
    this.parts = parts;
    this.unlisten = parts.store.onChange((change) => {
      for (const uid of change.all ? this.values.keys() : change.users) if (this.values.has(uid)) void this.read(uid);
    });
  }

  stop(): void {
    this.unlisten();
    this.timer?.();
    this.later.clear();
  }

  user(uid: string): Readable<User> {
    return this.of(uid);
  }

  /** Loads the names of `uid` in the background if none are known, or if the account may have been deleted. */
  complete(uid: string, row: UserRow | undefined): void {
    if (!row || row.loadedAt === 0) this.renew(uid);
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
    if (row && Math.abs(now - row.loadedAt) < FRESH_MS) return;
    this.renew(uid);
  }

  /** Loads the names of `uid` again in the background. For the few places where an old name would mislead. */
  renew(uid: string): void {
    const now = this.parts.platform.clock.monotonic();
    const last = this.asked.get(uid);
    if (!validUid(uid) || (last !== undefined && now - last < RETRY_MS)) return;
    this.asked.set(uid, now);
    if (now < this.pausedUntil) this.later.add(uid);
    else void this.load(uid);
  }

  /** Loads nothing for a while, because the server refused a request until then. */
  private pause(uid: string, ms: number): void {
    const { clock } = this.parts.platform;
    this.later.add(uid);
    this.pausedUntil = Math.max(this.pausedUntil, clock.monotonic() + ms);
    this.timer?.();
    this.timer = clock.after(this.pausedUntil - clock.monotonic(), () => {
      this.timer = null;
      const uids = [...this.later];
      this.later.clear();
      // One after the other, so that the first one that is refused again postpones the others.
      void (async () => {
        for (const next of uids) {
          if (clock.monotonic() < this.pausedUntil) this.later.add(next);
          else await this.load(next);
        }
      })();
    });
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

  private async load(uid: string): Promise<void> {
    const { store, archive, platform } = this.parts;
    try {
      const user = await archive.user(uid).catch((err: unknown) => {
        if (err instanceof ApiProblem && err.status === 404)
          return { uid, username: "", displayName: "", deleted: true, admin: false };
        throw err;
      });
      if (user.uid === uid) await store.write((tx) => applyUser(tx, this.parts.context(), user));
    } catch (err) {
      // Tried again when the name is needed the next time.
      if (err instanceof ApiProblem && err.status === 429) this.pause(uid, err.retryAfterMs ?? RETRY_MS);
      else if (!(err instanceof ApiProblem)) platform.report("a user could not be loaded", err);
    }
  }
}
