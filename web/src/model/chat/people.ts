/** Names of people: kept on the device, loaded where they are missing or old. */
import type { ArchiveApi } from "../../net/archive";
import { ApiProblem } from "../../net/problem";
import { validUid } from "../../protocol/chat";
import type { Platform } from "../../platform/platform";
import type { Person } from "../interface/person";
import { type Readable, Value } from "../observable";
import type { AccountStore } from "../store/account";
import { applyPerson } from "../store/history";
import type { Here } from "../store/rules";
import type { PersonRow } from "../store/rows";

/** Names older than this are loaded again when they are shown. */
const FRESH_MS = 24 * 3_600_000;
const RETRY_MS = 30_000;

export interface PeopleParts {
  readonly platform: Platform;
  readonly store: AccountStore;
  readonly archive: Pick<ArchiveApi, "person">;
  here(): Here;
}

export function personOf(uid: string, row: PersonRow | undefined): Person {
  return {
    uid,
    username: row?.username ?? "",
    displayName: row?.displayName || row?.username || "",
    deleted: row?.deleted === true,
  };
}

export function samePerson(a: Person, b: Person): boolean {
  return a.username === b.username && a.displayName === b.displayName && a.deleted === b.deleted;
}

export class People {
  private readonly parts: PeopleParts;
  private readonly values = new Map<string, Value<Person>>();
  private readonly asked = new Map<string, number>();
  private readonly unlisten: () => void;

  constructor(parts: PeopleParts) {
    this.parts = parts;
    this.unlisten = parts.store.onChange((change) => {
      for (const uid of change.all ? this.values.keys() : change.people) if (this.values.has(uid)) void this.read(uid);
    });
  }

  stop(): void {
    this.unlisten();
  }

  person(uid: string): Readable<Person> {
    return this.of(uid);
  }

  /** Makes sure that names of `uid` are loaded, in the background. */
  want(uid: string, row: PersonRow | undefined): void {
    const { platform } = this.parts;
    const now = platform.clock.now();
    if (row && Math.abs(now - row.loadedAt) < FRESH_MS) return;
    this.renew(uid);
  }

  /** Loads the names of `uid` anew, in the background: for one place at a time, where an old name would mislead. */
  renew(uid: string): void {
    const now = this.parts.platform.clock.now();
    const last = this.asked.get(uid);
    if (!validUid(uid) || (last !== undefined && now - last < RETRY_MS)) return;
    this.asked.set(uid, now);
    void this.load(uid);
  }

  private of(uid: string): Value<Person> {
    let value = this.values.get(uid);
    if (!value) {
      value = new Value(personOf(uid, undefined));
      this.values.set(uid, value);
      void this.read(uid);
    }
    return value;
  }

  private async read(uid: string): Promise<void> {
    try {
      const row = await this.parts.store.read((tx) => tx.person(uid));
      const next = personOf(uid, row);
      this.values.get(uid)?.update((old) => (samePerson(old, next) ? old : next));
      this.want(uid, row);
    } catch (err) {
      this.parts.platform.report("a person could not be read", err);
    }
  }

  private async load(uid: string): Promise<void> {
    const { store, archive, platform } = this.parts;
    try {
      const person = await archive.person(uid).catch((err: unknown) => {
        if (err instanceof ApiProblem && err.status === 404)
          return { uid, username: "", displayName: "", deleted: true };
        throw err;
      });
      if (person.uid === uid) await store.write((tx) => applyPerson(tx, this.parts.here(), person));
    } catch (err) {
      // Tried again when somebody asks later.
      if (!(err instanceof ApiProblem)) platform.report("a person could not be loaded", err);
    }
  }
}
