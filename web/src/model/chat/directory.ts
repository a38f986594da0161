/** A search in the directory, as somebody types. */
import type { ArchiveApi, PublicPerson } from "../../net/archive";
import type { Cancel, Clock } from "../../platform/platform";
import type { DirectorySearch, PeopleList } from "../interface/chat";
import type { Person } from "../interface/person";
import { type Readable, Value } from "../observable";
import { problemOf } from "../outcome";

const SETTLE_MS = 150;
const PAGE = 50;

export class Directory implements DirectorySearch {
  private readonly clock: Clock;
  private readonly archive: Pick<ArchiveApi, "people">;
  private readonly found: (people: readonly PublicPerson[]) => void;
  private readonly value = new Value<PeopleList>({ items: [], loading: true, more: false, problem: null });
  private query = "";
  private next: string | null = null;
  /** Counts searches: the answer of an older one is dropped. */
  private serial = 0;
  private busy = false;
  private timer: Cancel | null = null;

  /** `found` is told of everyone who was found. */
  constructor(clock: Clock, archive: Pick<ArchiveApi, "people">, found: (people: readonly PublicPerson[]) => void) {
    this.clock = clock;
    this.archive = archive;
    this.found = found;
  }

  get people(): Readable<PeopleList> {
    return this.value;
  }

  search(query: string): void {
    this.query = query.trim();
    this.serial++;
    this.timer?.();
    this.timer = this.clock.after(SETTLE_MS, () => void this.load(null));
    this.value.update((v) => ({ ...v, loading: true, problem: null }));
  }

  more(): void {
    if (this.next === null || this.busy) return;
    void this.load(this.next);
  }

  retry(): void {
    if (this.busy) return;
    // Where it broke off: the first page, or the next one.
    void this.load(this.value.get().items.length > 0 ? this.next : null);
  }

  close(): void {
    this.serial++;
    this.timer?.();
  }

  private async load(cursor: string | null): Promise<void> {
    const serial = ++this.serial;
    this.busy = true;
    this.value.update((v) => ({ ...v, loading: true, problem: null }));
    try {
      const page = await this.archive.people(this.query, cursor, PAGE);
      if (serial !== this.serial) return;
      this.found(page.items);
      this.next = page.next;
      const items = page.items.map(toPerson);
      const before = cursor === null ? [] : this.value.get().items;
      const known = new Set(before.map((p) => p.uid));
      this.value.set({
        items: [...before, ...items.filter((p) => !known.has(p.uid))],
        loading: false,
        more: page.next !== null,
        problem: null,
      });
    } catch (err) {
      if (serial !== this.serial) return;
      const problem = problemOf(err);
      this.value.update((v) => ({ ...v, items: cursor === null ? [] : v.items, loading: false, problem }));
    } finally {
      if (serial === this.serial) this.busy = false;
    }
  }
}

export function toPerson(person: PublicPerson): Person {
  return {
    uid: person.uid,
    username: person.username,
    displayName: person.displayName || person.username,
    deleted: person.deleted,
  };
}
