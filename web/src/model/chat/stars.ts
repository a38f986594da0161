/** The messages to which the user has given a star. Their code is loaded when a screen shows them. */
import type { SavedMessage } from "../../protocol/chat";
import type { Cancel } from "../../platform/platform";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import { type MessageRow, messagePath } from "../store/rows";
import type { Change } from "../store/change";

/** How many messages are loaded at once. The server allows 200. */
const AT_ONCE = 100;

/** A message with a star. */
export interface Star {
  readonly conversation: string;
  readonly key: string;
  /** The other member of the conversation. */
  readonly uid: string;
  readonly mine: boolean;
  /** When it was sent or typed, in ms. */
  readonly time: number;
  readonly body: string;
}

export interface StarList {
  /** The newest star first. Messages that were deleted are left out. */
  readonly items: readonly Star[];
  /** Some messages are not here yet. */
  readonly loading: boolean;
}

type StarParts = Pick<LateParts, "uid" | "store" | "archive" | "platform" | "change" | "connection">;

/** The starred messages. Those that this device does not have are loaded from the server, and stored. */
export class Stars {
  private readonly parts: StarParts;
  private readonly value = new Value<StarList>({ items: [], loading: true });
  /** Paths of messages that the server was asked for. */
  private readonly asked = new Set<string>();
  private serial = 0;
  private readonly ends: readonly Cancel[];

  constructor(parts: StarParts) {
    this.parts = parts;
    this.ends = [
      parts.store.onChange((change) => {
        if (this.concerns(change)) void this.read();
      }),
      parts.connection.subscribe(({ state }) => {
        if (state === "online") void this.read();
      }),
    ];
    void this.read();
  }

  get list(): Readable<StarList> {
    return this.value;
  }

  close(): void {
    this.serial++;
    for (const end of this.ends) end();
  }

  private concerns(change: Change): boolean {
    if (change.all || change.settings.length > 0) return true;
    return this.value.get().items.some(({ conversation, key }) => change.messages[conversation]?.includes(key));
  }

  private async read(): Promise<void> {
    const serial = ++this.serial;
    const { store, platform } = this.parts;
    try {
      const found = await store.read(async (tx) => {
        const stars = (await tx.settings()).filter(({ kind, value }) => kind === "star" && value === 1);
        stars.sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));
        return await Promise.all(
          stars.map(async (star) => ({ star, row: await tx.message(star.conversation, star.message) })),
        );
      });
      if (serial !== this.serial) return;
      const missing = found.flatMap(({ star: { conversation, message: key }, row }) =>
        row || this.asked.has(messagePath(conversation, key)) ? [] : { conversation, key },
      );
      const ask = missing.length > 0 && this.parts.connection.get().state === "online";
      this.value.set({ items: found.flatMap(({ row }) => (row ? this.star(row) : [])), loading: ask });
      if (ask) await this.load(missing.slice(0, AT_ONCE));
    } catch (err) {
      platform.report("the starred messages could not be read", err);
      if (serial === this.serial) this.value.update((list) => ({ ...list, loading: false }));
    }
  }

  private star(row: MessageRow): Star[] {
    const { conversation, key, from, to, at, typedAt, body, changes } = row;
    if (changes?.deleted) return [];
    const mine = from === this.parts.uid;
    const time = at === null ? (typedAt ?? 0) : at / 1000;
    return [{ conversation, key, uid: mine ? to : from, mine, time, body }];
  }

  /** Loads messages and stores them, which reads the list again. */
  private async load(missing: readonly { conversation: string; key: string }[]): Promise<void> {
    for (const { conversation, key } of missing) this.asked.add(messagePath(conversation, key));
    let saved: readonly SavedMessage[];
    try {
      saved = await this.parts.archive.saved(missing);
    } catch (err) {
      for (const { conversation, key } of missing) this.asked.delete(messagePath(conversation, key));
      throw err;
    }
    await this.parts.change(async (tx, rules) => {
      for (const message of saved) await rules.save(tx, message);
    });
    await this.read();
  }
}
