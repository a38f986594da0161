/** The user's own profile: kept on the device, loaded at the start and after changes. */
import { ApiProblem } from "../../net/problem";
import type { OwnApi, OwnProfile } from "../../net/own";
import type { Platform } from "../../platform/platform";
import type { Outcome } from "../interface/outcome";
import type { Me, ProfileChange } from "../interface/chat";
import type { User } from "../interface/user";
import { type Readable, Value } from "../observable";
import { outcome } from "../outcome";
import type { LocalStore } from "../store/store";
import type { Users } from "./users";

export interface ProfileParts {
  readonly platform: Platform;
  readonly uid: string;
  /** Known from the sign-in, before the profile is loaded. */
  readonly email: string;
  readonly store: LocalStore;
  readonly own: OwnApi;
  readonly users: Users;
}

const RETRY_MS = 30_000;

export class ProfileKeeper {
  private readonly parts: ProfileParts;
  private readonly meValue: Value<Me>;
  private readonly blockedValue = new Value<readonly User[] | null>(null);
  private readonly ends: (() => void)[] = [];
  private blockedEnds: (() => void)[] = [];
  private stopped = false;

  constructor(parts: ProfileParts) {
    this.parts = parts;
    this.meValue = new Value<Me>({
      uid: parts.uid,
      username: "",
      displayName: "",
      email: parts.email,
      admin: false,
      createdAt: null,
    });
    this.ends.push(
      parts.store.onChange((change) => {
        if (change.all || change.meta.includes("profile")) void this.read();
      }),
    );
    void this.read();
  }

  get me(): Readable<Me> {
    return this.meValue;
  }

  get blocked(): Readable<readonly User[] | null> {
    return this.blockedValue;
  }

  stop(): void {
    this.stopped = true;
    for (const end of [...this.ends, ...this.blockedEnds]) end();
  }

  /** Loads the profile. Tries again later if there is no answer. */
  async load(): Promise<void> {
    if (this.stopped) return;
    try {
      await this.keep(await this.parts.own.profile());
    } catch (err) {
      const later = err instanceof ApiProblem && err.retryable;
      if (!later) this.parts.platform.report("the profile could not be loaded", err);
      else {
        const wait = Math.max(RETRY_MS, err.retryAfterMs ?? 0);
        this.ends.push(this.parts.platform.clock.after(wait, () => void this.load()));
      }
    }
  }

  change(change: ProfileChange): Promise<Outcome> {
    return outcome(async () => {
      await this.keep(
        await this.parts.own.change({
          ...(change.username === undefined ? {} : { username: change.username }),
          ...(change.displayName === undefined ? {} : { displayName: change.displayName }),
        }),
      );
    });
  }

  block(uid: string, blocked: boolean): Promise<Outcome> {
    return outcome(async () => this.keep(await this.parts.own.block(uid, blocked)));
  }

  private async keep(profile: OwnProfile): Promise<void> {
    if (profile.uid !== this.parts.uid) return;
    this.show(profile);
    try {
      await this.parts.store.write((tx) => tx.putMeta({ name: "profile", profile }));
    } catch (err) {
      this.parts.platform.report("the profile could not be stored", err);
    }
  }

  private async read(): Promise<void> {
    try {
      const row = await this.parts.store.read((tx) => tx.meta("profile"));
      if (row) this.show(row.profile);
    } catch (err) {
      this.parts.platform.report("the profile could not be read", err);
    }
  }

  private show(profile: OwnProfile): void {
    const { blocked, ...shown } = profile;
    const old = this.meValue.get();
    const me: Me = {
      ...shown,
      displayName: shown.displayName || shown.username,
      email: shown.email || this.parts.email,
    };
    const same = (Object.keys(me) as (keyof Me)[]).every((key) => me[key] === old[key]);
    if (!same) this.meValue.set(me);
    this.showBlocked(blocked);
  }

  private showBlocked(uids: readonly string[]): void {
    const old = this.blockedValue.get();
    if (old?.length === uids.length && old.every((p, i) => p.uid === uids[i])) return;
    for (const end of this.blockedEnds) end();
    const users = uids.map((uid) => this.parts.users.user(uid));
    const publish = (): void => this.blockedValue.set(users.map((p) => p.get()));
    publish();
    this.blockedEnds = users.map((user) => {
      let first = true;
      return user.subscribe(() => {
        if (!first) publish();
        first = false;
      });
    });
  }
}
