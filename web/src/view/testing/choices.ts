/** The choices that the user of the fake model makes about conversations and messages. */
import type { ConversationSummary } from "../../model";
import type { LateParts } from "../../model/interface/late";
import { ALWAYS, settingKey, type Subject } from "../../model/store/settings";
import type { ConversationRow, MetaRow, SettingRow } from "../../model/store/rows";
import type { WriteTx } from "../../model/store/tx";
import { ok, params, refused } from "./options";

export class FakeChoices {
  private readonly rows = new Map<string, SettingRow>();
  private readonly stars = new Map<string, ReadonlySet<string>>();
  /** The conversations that were marked as read. */
  readonly read = new Set<string>();
  /** What the device knows beside chats and messages. */
  readonly meta = new Map<string, MetaRow>([["device", { name: "device", id: "d1" }]]);
  private readonly onChange: (conversation: string) => void;

  /** The address may choose conversations, as in ?pinned=3&archived=4,5. `idOf` returns the id of the n-th one. */
  constructor(idOf: (n: number) => string, onChange: (conversation: string) => void) {
    this.onChange = onChange;
    for (const [name, kind] of [
      ["pinned", "pin"],
      ["muted", "mute"],
      ["archived", "archive"],
      ["marked", "unread"],
    ] as const)
      for (const n of params.get(name)?.split(",") ?? [])
        this.store({ conversation: idOf(Number(n)), kind, message: "" }, kind === "mute" ? ALWAYS : 1);
  }

  of(conversation: string): Pick<ConversationSummary, "marked" | "pinned" | "mutedUntil" | "archived"> {
    const value = (kind: string): number => this.value(conversation, kind);
    const mute = value("mute");
    return {
      marked: value("unread") === 1,
      pinned: value("pin") === 1,
      mutedUntil: mute === ALWAYS ? Number.POSITIVE_INFINITY : mute / 1000,
      archived: value("archive") === 1,
    };
  }

  value(conversation: string, kind: string): number {
    return this.rows.get(settingKey({ kind, conversation, message: "" }))?.value ?? 0;
  }

  starred(conversation: string): ReadonlySet<string> {
    return this.stars.get(conversation) ?? new Set();
  }

  settings(): SettingRow[] {
    return [...this.rows.values()];
  }

  readonly change: LateParts["change"] = async (run) => {
    if (params.has("unchangeable")) return refused("storage_full", "");
    const tx: Pick<WriteTx, "settings" | "conversation" | "outbox" | "putMeta" | "meta"> = {
      meta: (async (name: string) => this.meta.get(name)) as WriteTx["meta"],
      putMeta: async (row) => void this.meta.set(row.name, row),
      settings: async () => this.settings(),
      outbox: async () => [],
      conversation: async (id) => ({ id, myRead: 0, preview: { at: Date.now() * 1000 } }) as ConversationRow,
    };
    await run(tx as WriteTx, {
      moveMyRead: async (_tx, { id }) => void this.read.add(id),
      save: async () => undefined,
      choose: async (_tx, subject, value) => this.put(subject, value),
    });
    return ok(undefined);
  };

  private put(subject: Subject, value: number): void {
    const { conversation, kind, message } = subject;
    this.store(subject, value);
    if (kind === "star") {
      const others = [...this.starred(conversation)].filter((other) => other !== message);
      this.stars.set(conversation, new Set(value === 1 ? [...others, message] : others));
    }
    this.onChange(conversation);
  }

  private store(subject: Subject, value: number): void {
    const key = settingKey(subject);
    this.rows.set(key, { ...subject, value, at: Date.now() * 1000 + this.rows.size, id: key, key });
  }
}
