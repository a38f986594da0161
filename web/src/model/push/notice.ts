/** Pushes, and the notifications that the service worker makes of them. */
import { messageKey, otherMember, validMessageId, validUid } from "../../protocol/chat";
import { Fields, Malformed } from "../../protocol/fields";
import { cut } from "../../protocol/text";
import type { Push, ShownNotice } from "../../platform/platform";
import { unreadOf } from "../store/readMarks";
import type { LocalStore } from "../store/store";
import { settingKey } from "../store/settings";
import type { ReadTx } from "../store/tx";

/** The content of a push (DESIGN §12). */
export interface PushedMessages {
  readonly to: string;
  readonly conversation: string;
  readonly from: string;
  readonly name: string;
  /** The keys of the messages, oldest first. */
  readonly keys: readonly string[];
  readonly count: number;
  /** Empty if the user does not want texts in pushes. */
  readonly text: string;
}

/** More than a push can contain, in UTF-16 units. */
const MAX_CONTENT = 4096;
const MAX_NAME = 100;
const MAX_TEXT = 200;
const MAX_IDS = 20;
/** The most messages of one notification of which it is known whether they were read. */
const MAX_KEYS = 100;

/** Reads the content of a push. Returns null for anything that this version does not know. */
export function readPush(content: string | null): PushedMessages | null {
  if (content === null || content.length > MAX_CONTENT) return null;
  try {
    const f = new Fields("push", JSON.parse(content) as unknown);
    const [to, from, conversation] = [f.text("to"), f.text("from"), f.text("conversation")];
    const keys = f
      .list("ids")
      .filter((id): id is string => typeof id === "string" && validMessageId(id))
      .slice(0, MAX_IDS)
      .sort()
      .map((id) => messageKey({ id, from }));
    if (f.integer("v") !== 1 || !validUid(to) || otherMember(conversation, to) !== from || keys.length === 0)
      return null;
    return {
      to,
      conversation,
      from,
      name: cut(f.optionalText("name"), MAX_NAME),
      keys,
      count: Math.max(keys.length, f.optionalInteger("count") ?? 1),
      text: cut(f.optionalText("text"), MAX_TEXT),
    };
  } catch (err) {
    if (err instanceof Malformed || err instanceof SyntaxError) return null;
    throw err;
  }
}

/** The texts of notifications. */
export interface NoticeTexts {
  /** The name of the chat. */
  readonly app: string;
  /** In place of the text of `n` messages. */
  readonly unseen: (n: number) => string;
  /** Of a test. */
  readonly test: string;
  /** Returns a name without what makes it misleading. */
  readonly named: (name: string) => string;
}

/** What to show for a push. */
export interface Shown {
  readonly title: string;
  readonly body: string;
  readonly keys: readonly string[];
  readonly silent: boolean;
}

/**
 * Returns what a push changes about the notification of its conversation. Pushes may come twice, late and in any order:
 * one that brings nothing newer shows the same notification again, without a sound.
 */
export function shownFor(push: PushedMessages, before: ShownNotice | undefined, texts: NoticeTexts): Shown {
  const known = before?.data.keys ?? [];
  const keys = [...new Set([...known, ...push.keys])].sort().slice(-MAX_KEYS);
  const newest = push.keys.at(-1) ?? "";
  if (before && known.some((key) => key >= newest))
    return { title: before.title, body: before.body, keys, silent: true };
  return {
    title: texts.named(push.name) || texts.app,
    body: push.text || texts.unseen(push.count),
    keys,
    silent: false,
  };
}

/** Closes the notifications of the user's messages that were read, or deleted, according to this device. */
export async function closeRead(
  push: Pick<Push, "shown">,
  store: Pick<LocalStore, "read">,
  uid: string,
): Promise<void> {
  const ours = (await push.shown()).filter(
    ({ data, tag }) => data.account === uid && data.keys.length > 0 && !tag.includes("/"),
  );
  if (ours.length === 0) return;
  const read = await store.read(async (tx) => {
    const closed: ShownNotice[] = [];
    for (const notice of ours) if (await isRead(tx, notice)) closed.push(notice);
    return closed;
  });
  for (const notice of read) notice.close();
}

async function isRead(tx: ReadTx, { data: { conversation, keys } }: ShownNotice): Promise<boolean> {
  const upTo = (await tx.conversation(conversation))?.myRead ?? 0;
  for (const key of keys) {
    const row = await tx.message(conversation, key);
    if (!row || (row.place > upTo && !row.changes?.deleted)) return false;
  }
  return true;
}

/** Counts the unread messages of this device, for the badge of the app. Those of muted and archived chats and requests do not count. */
export async function countUnread(tx: ReadTx, serverNow: number): Promise<number> {
  let count = 0;
  for (const row of await tx.conversations()) {
    const value = async (kind: string): Promise<{ value: number; at: number } | undefined> =>
      tx.setting(settingKey({ kind, conversation: row.id, message: "" }));
    const archive = await value("archive");
    const hidden = archive?.value === 1 && (row.preview?.at ?? 0) <= archive.at;
    if (hidden || row.answered === false || ((await value("mute"))?.value ?? 0) > serverNow) continue;
    count += unreadOf(row) || Number((await value("unread"))?.value === 1);
  }
  return count;
}
