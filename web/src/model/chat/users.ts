/** Names of other users: kept on the device, loaded when they are missing or old. */
import type { ArchiveApi } from "../../net/archive";
import { ApiProblem } from "../../net/problem";
import { validUid } from "../../protocol/chat";
import type { Platform } from "../../platform/platform";
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
  };
}

export function sameUser(a: User, b: User): boolean {
  return a.username === b.username && a.displayName === b.displayName && a.deleted === b.deleted;
}

export class Users {
  private readonly parts: UsersParts;
  private readonly values = new Map<string, Value<User>>();
  private readonly asked = new Map<string, number>();
  private readonly unlisten: () => void;

  constructor(parts: UsersParts) {
    this.parts = parts;
    this.unlisten = parts.store.onChange((change) => {
      for (const uid of change.all ? this.values.keys() : change.users) if (this.values.has(uid)) void this.read(uid);
    });
  }

  stop(): void {
    this.unlisten();
  }

  user(uid: string): Readable<User> {
    return this.of(uid);
  }

  /** Loads the names of `uid` in the background, unless `row` is recent enough. */
  want(uid: string, row: UserRow | undefined): void {
    const { platform } = this.parts;
    const now = platform.clock.now();
    if (row && Math.abs(now - row.loadedAt) < FRESH_MS) return;
    this.renew(uid);
  }

  /** Loads the names of `uid` again in the background. For the few places where an old name would mislead. */
  renew(uid: string): void {
    const now = this.parts.platform.clock.now();
    const last = this.asked.get(uid);
    if (!validUid(uid) || (last !== undefined && now - last < RETRY_MS)) return;
    this.asked.set(uid, now);
    void this.load(uid);
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
          return { uid, username: "", displayName: "", deleted: true };
        throw err;
      });
      if (user.uid === uid) await store.write((tx) => applyUser(tx, this.parts.context(), user));
    } catch (err) {
      // Tried again when the name is needed the next time.
      if (!(err instanceof ApiProblem)) platform.report("a user could not be loaded", err);
    }
  }
}
