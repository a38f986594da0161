/** The messages of the fake model as its search reads them. Older ones are "on the server" until they are loaded. */
import type { Message } from "../../model";
import type { LateParts } from "../../model/interface/late";
import { Value } from "../../model/observable";
import { EVERYTHING, type Change } from "../../model/store/change";
import type { MessageRow, StoredMessage } from "../../model/store/rows";
import type { ReadTx } from "../../model/store/tx";
import type { FakeChoices } from "./choices";
import { number, wait } from "./options";

export interface FakeConversation {
  readonly id: string;
  readonly other: string;
  /** Oldest first. */
  readonly messages: readonly Message[];
}

/** With "stored" in the address, only so many messages of each conversation are on the device at first. */
export class FakeStore {
  readonly storage: LateParts["store"]["storage"] = new Value("durable");
  private readonly me: string;
  private readonly choices: FakeChoices;
  private readonly all: () => readonly FakeConversation[];
  private readonly here = new Map<string, number>();
  private readonly listeners = new Set<(change: Change) => void>();

  constructor(me: string, choices: FakeChoices, all: () => readonly FakeConversation[]) {
    this.choices = choices;
    this.me = me;
    this.all = all;
  }

  onChange(run: (change: Change) => void): () => void {
    this.listeners.add(run);
    return () => this.listeners.delete(run);
  }

  /** Reports that a message was added or has changed. */
  changed(conversation: string, keys: readonly string[]): void {
    const change: Change = { ...EVERYTHING, messages: { [conversation]: keys }, settings: [conversation], all: false };
    for (const run of [...this.listeners]) run(change);
  }

  async read<T>(body: (tx: ReadTx) => Promise<T>): Promise<T> {
    await wait(0);
    return await body(this.reads() as ReadTx);
  }

  async extend(conversation: string, limit: number): Promise<number> {
    await wait(number("latency", 200));
    const of = this.all().find(({ id }) => id === conversation);
    if (!of) return 0;
    const before = this.count(of);
    const count = Math.min(of.messages.length, before + limit);
    this.here.set(conversation, count);
    const loaded = of.messages.slice(of.messages.length - count, of.messages.length - before);
    this.changed(
      conversation,
      loaded.map(({ key }) => key),
    );
    return count - before;
  }

  async shortest(
    one: string | null,
    skip: ReadonlySet<string>,
  ): Promise<{ conversation: string; from: number } | null> {
    const short = this.all()
      .filter((of) => (one === null || of.id === one) && !skip.has(of.id) && this.count(of) < of.messages.length)
      .map((of) => ({ conversation: of.id, from: (of.messages.at(-this.count(of))?.time ?? 0) * 1000 }));
    return short.sort((a, b) => b.from - a.from)[0] ?? null;
  }

  private count({ id, messages }: FakeConversation): number {
    return this.here.get(id) ?? Math.min(messages.length, number("stored", messages.length));
  }

  private reads(): Pick<ReadTx, "messagesAfter" | "message" | "meta" | "settings" | "conversation"> {
    const rows = (of: FakeConversation): StoredMessage[] =>
      of.messages.slice(of.messages.length - this.count(of)).map((message) => this.row(of, message));
    return {
      settings: async () => this.choices.settings(),
      conversation: async () => undefined,
      meta: (async (name: string) => this.choices.meta.get(name)) as ReadTx["meta"],
      messagesAfter: async (path, limit) => {
        const all = this.all().flatMap(rows);
        const start = path === "" ? 0 : all.findIndex((row) => row.path === path) + 1;
        return all.slice(start, start + limit);
      },
      message: async (conversation, key) => {
        const of = this.all().find(({ id }) => id === conversation);
        return of && rows(of).find((row) => row.key === key);
      },
    };
  }

  private row({ id, other }: FakeConversation, { key, mine, body, time }: Message): StoredMessage {
    const row: MessageRow = {
      id: key,
      key,
      conversation: id,
      from: mine ? this.me : other,
      to: mine ? other : this.me,
      body,
      replyTo: null,
      at: time * 1000,
      place: time * 1000,
      status: mine ? "delivered" : "received",
      acceptedAt: time * 1000,
      deliveredAt: null,
      refusal: null,
      typedAt: null,
    };
    return { ...row, path: `${id}/${key}` };
  }
}
