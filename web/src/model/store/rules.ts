/**
 * The effects of events, answers and history on the store: the client rules of DESIGN §4, one function per cause. Each
 * function runs inside a transaction of its caller, may be repeated, and may come in any order. None moves a state
 * backwards.
 */
import {
  type ChatMessage,
  messageKey,
  type Micros,
  otherMember,
  type SavedMessage,
  validMessageId,
} from "../../protocol/chat";
import type { ChatEvent, MessageRef } from "../../protocol/frames";
import { loadCode } from "../../platform/code";
import { cut } from "../../protocol/text";
import { noteBackfill } from "./backfills";
import { applyRead, countUnread, moveMyRead } from "./readMarks";
import {
  type ConversationRow,
  isChange,
  messagePath,
  type MessageRow,
  type Queued,
  type RowStatus,
  WAITING,
} from "./rows";
import {
  type BaseRules,
  type ChangeRules,
  emptyConversation,
  type RuleContext,
  RulesMissing,
  type WriteTx,
} from "./tx";

import { applySetting } from "./settings";

export type { RuleContext } from "./tx";

/**
 * A correct `at` is not further ahead than this (DESIGN §3 allows 5 s). A wrong one must not push later messages ahead.
 */
const MAX_AHEAD: Micros = 60_000_000;
/** The refusal code for a recipient without an account. */
const GONE = "recipient_unknown";
/** The length of the server's previews. */
const PREVIEW_UNITS = 400;

/** Applies an event. Returns false for one that makes no sense for this user, which is ignored. */
export async function applyEvent(tx: WriteTx, context: RuleContext, event: ChatEvent): Promise<boolean> {
  switch (event.type) {
    case "message":
    case "sent": {
      const { message } = event;
      const mine = event.type === "sent";
      if (!belongs(context, message) || (message.from === context.uid) !== mine) return false;
      await applyMessage(tx, context, message, mine ? "sent" : "received");
      return true;
    }
    case "change":
    case "changed":
      return await changeRules(tx).applyChange(tx, context, event.type === "changed", event.change);
    case "corrected":
      return await applySaved(tx, context, event.message);
    case "delivered":
      if (otherMember(event.conversation, context.uid) === null) return false;
      for (const ref of event.messages) await applyDelivered(tx, context, event.conversation, ref, event.delivered_at);
      if (event.changes.length > 0) await changeRules(tx).changesDelivered(tx, event.changes);
      return true;
    case "refused":
      if (otherMember(event.conversation, context.uid) === null) return false;
      for (const ref of event.messages) await applyRefused(tx, context, event.conversation, ref, event);
      for (const ref of event.changes) {
        const change = await tx.change(ref.id);
        if (change) await refuse(tx, change, event);
      }
      return true;
    case "read": {
      const other = otherMember(event.conversation, context.uid);
      if (other === null || (event.by !== context.uid && event.by !== other)) return false;
      await applyRead(tx, context, event.conversation, other, event.by, event.at);
      return true;
    }
    case "setting":
      return await applySetting(tx, context, event.setting);
    case "unknown":
      return true;
  }
}

/**
 * Applies a saved message, which was delivered. Its content replaces any other that this device was sent under the same
 * key, so that all devices show the same text. Returns false for one that makes no sense for this user.
 */
export async function applySaved(tx: WriteTx, context: RuleContext, message: SavedMessage): Promise<boolean> {
  if (!belongs(context, message)) return false;
  const mine = message.from === context.uid;
  await applyMessage(tx, context, message, mine ? "delivered" : "received", message);
  return true;
}

function belongs(context: RuleContext, m: ChatMessage): boolean {
  const other = otherMember(m.conversation, context.uid);
  if (other === null || !validMessageId(m.id)) return false;
  return (m.from === context.uid && m.to === other) || (m.from === other && m.to === context.uid);
}

async function applyMessage(
  tx: WriteTx,
  context: RuleContext,
  message: ChatMessage,
  status: RowStatus,
  saved: SavedMessage | null = null,
): Promise<void> {
  const key = messageKey(message);
  const deliveredAt = status === "delivered" && saved ? saved.delivered_at : null;
  const known = await tx.message(message.conversation, key);
  if (known) {
    // Saved content replaces any other. Accepted content replaces content that no server has accepted.
    const replaces = saved !== null || known.status === "waiting" || known.status === "refused";
    await advance(tx, known, {
      status,
      acceptedAt: message.accepted_at,
      deliveredAt,
      at: message.at,
      ...(replaces ? { content: message, saved } : {}),
    });
    return;
  }
  let row: MessageRow = {
    id: message.id,
    key,
    conversation: message.conversation,
    from: message.from,
    to: message.to,
    body: message.body,
    replyTo: message.reply_to ?? null,
    at: message.at,
    place: message.at,
    status,
    acceptedAt: message.accepted_at,
    deliveredAt,
    refusal: null,
    typedAt: null,
    ...(saved ? {} : { heard: context.serverNow }),
  };
  // Only facts about own messages are remembered.
  const kinds = message.from === context.uid ? (["refused", "delivered"] as const) : [];
  for (const kind of kinds) {
    const remembered = await tx.backfill(`${kind}:${messagePath(message.conversation, key)}`);
    if (!remembered) continue;
    await tx.deleteBackfill(remembered.key);
    if (status !== "sent") continue;
    if (kind === "delivered") row = { ...row, status: "delivered", deliveredAt: remembered.deliveredAt, refusal: null };
    else row = { ...row, status: "refused", refusal: remembered.refusal };
  }
  const readBackfill = await tx.backfill(`read:${message.conversation}`);
  if (readBackfill && readBackfill.at === message.at) await tx.deleteBackfill(readBackfill.key);
  if (saved?.changes !== undefined || (await tx.hasChanges()))
    row = await changeRules(tx).withChanges(tx, row, saved?.changes);
  await tx.putMessage(row);
  tx.added.push(row);
  let conversation = await conversationOf(tx, context, message.conversation);
  if (status === "received" && conversation.held !== undefined) {
    // Messages that waited for the answer may go now.
    tx.changes.toDo("send");
    const { held: _, ...released } = conversation;
    conversation = released;
  }
  const unseen = status === "received" && message.at > conversation.myRead;
  await tx.putConversation(touched(context, { ...conversation, unread: conversation.unread + (unseen ? 1 : 0) }, row));
  if (status === "sent" && conversation.answered === false) await answered(tx, message.conversation, context.now);
}

const RANK: Readonly<Record<RowStatus, number>> = { waiting: 0, sent: 1, refused: 2, delivered: 3, received: 3 };

type Refusal = NonNullable<MessageRow["refusal"]>;

interface Step {
  readonly status: RowStatus;
  readonly acceptedAt?: Micros | null;
  readonly deliveredAt?: Micros | null;
  readonly at?: Micros;
  readonly refusal?: MessageRow["refusal"];
  /** Replaces the content of the row. */
  readonly content?: ChatMessage;
  /** The message as it is saved, if the content comes from there. */
  readonly saved?: SavedMessage | null;
}

/** Moves a stored message to a later state, never back. */
async function advance(tx: WriteTx, row: MessageRow, step: Step): Promise<void> {
  const forward = RANK[step.status] > RANK[row.status];
  const status = forward ? step.status : row.status;
  const { content } = step;
  const at = content?.at ?? row.at ?? step.at ?? null;
  const { saved } = step;
  const changed =
    content && (row.settled ?? row.changes ?? saved?.changes)
      ? await changeRules(tx).withChanges(tx, row, saved?.changes, content.body)
      : { ...row, body: content?.body ?? row.body };
  const { queue, heard: before, original, ...rest } = changed;
  const heard = saved ? undefined : before;
  const final = status === "delivered" || status === "refused";
  const next: MessageRow = {
    ...rest,
    replyTo: content ? (content.reply_to ?? null) : row.replyTo,
    status,
    at,
    place: at ?? row.place,
    acceptedAt: content?.accepted_at ?? row.acceptedAt ?? step.acceptedAt ?? null,
    deliveredAt: (content && step.deliveredAt) ?? row.deliveredAt ?? step.deliveredAt ?? null,
    refusal: status === "refused" ? (row.refusal ?? step.refusal ?? null) : null,
    ...(queue === undefined || final ? {} : { queue, ...(original !== undefined && { original }) }),
    ...(heard === undefined ? {} : { heard }),
  };
  const sameContent = next.body === row.body && next.replyTo === row.replyTo && next.at === row.at;
  if (
    sameContent &&
    next.status === row.status &&
    next.acceptedAt === row.acceptedAt &&
    next.deliveredAt === row.deliveredAt &&
    next.queue === row.queue &&
    next.heard === before &&
    changed.changes === row.changes &&
    changed.settled === row.settled
  ) {
    return;
  }
  await tx.putMessage(next);
  if (row.status === "waiting" && status !== "refused") await answered(tx, row.conversation, row.typedAt);
  if (content && !sameContent) await applyCorrection(tx, row, next);
}

/** Updates what the conversation's row says of a message whose content was replaced. */
async function applyCorrection(tx: WriteTx, old: MessageRow, row: MessageRow): Promise<void> {
  let conversation = await tx.conversation(row.conversation);
  if (!conversation) return;
  conversation = { ...conversation, newest: Math.max(conversation.newest, row.at ?? 0) };
  if (row.status === "received" && old.at !== row.at)
    conversation = { ...conversation, unread: await countUnread(tx, conversation.id, conversation.myRead) };
  if (isPreview(conversation, old)) {
    conversation = await withNewestPreview(tx, conversation);
    if (conversation.recent === old.at && conversation.preview)
      conversation = { ...conversation, recent: conversation.preview.at };
  }
  await tx.putConversation(conversation);
}

/** Whether the list shows this message as the last one of the conversation. */
export function isPreview({ preview }: ConversationRow, message: Pick<MessageRow, "id" | "from">): boolean {
  return preview !== null && preview.id === message.id && preview.from === message.from;
}

/** Returns the start of a message that lists show. */
export function previewOf({ body }: MessageRow): string {
  return cut(body, PREVIEW_UNITS);
}

/** Returns `conversation` with the newest message on this device as its preview. */
export async function withNewestPreview(tx: WriteTx, conversation: ConversationRow): Promise<ConversationRow> {
  const [newest] = await tx.messagesBefore(conversation.id, null, 1);
  if (!newest) return { ...conversation, preview: null };
  const { id, from } = newest;
  const at = newest.at ?? conversation.recent;
  return { ...conversation, preview: { id, from, body: previewOf(newest), at } };
}

async function applyDelivered(
  tx: WriteTx,
  context: RuleContext,
  conversation: string,
  ref: MessageRef,
  deliveredAt: Micros,
): Promise<void> {
  const key = messageKey({ id: ref.id, from: context.uid });
  const row = await tx.message(conversation, key);
  if (row) {
    await advance(tx, row, { status: "delivered", deliveredAt, at: ref.at });
    return;
  }
  await noteBackfill(tx, context, {
    key: `delivered:${messagePath(conversation, key)}`,
    kind: "delivered",
    conversation,
    id: ref.id,
    at: ref.at,
    deliveredAt,
    refusal: null,
  });
}

async function applyRefused(
  tx: WriteTx,
  context: RuleContext,
  conversation: string,
  ref: MessageRef,
  refusal: Refusal,
): Promise<void> {
  const { code, message } = refusal;
  const key = messageKey({ id: ref.id, from: context.uid });
  const row = await tx.message(conversation, key);
  if (row) {
    await refuse(tx, row, { code, message });
    return;
  }
  const other = otherMember(conversation, context.uid);
  if (code === GONE && other !== null) await noteGone(tx, other);
  await noteBackfill(tx, context, {
    key: `refused:${messagePath(conversation, key)}`,
    kind: "refused",
    conversation,
    id: ref.id,
    at: ref.at,
    deliveredAt: null,
    refusal: { code, message },
  });
}

/** Marks a message as refused, which removes it from the outbox, unless it is known to be delivered; or ends a change. */
export async function refuse(tx: WriteTx, row: Queued, { code, message }: Refusal): Promise<void> {
  const refusal = { code, message };
  if (isChange(row)) await changeRules(tx).changeRefused(tx, row, refusal);
  else {
    await advance(tx, row, { status: "refused", refusal });
    if (row.settled && row.status !== "delivered") await changeRules(tx).dropChanges(tx, row);
  }
  await release(tx, row.conversation);
  if (refusal.code === GONE) await noteGone(tx, row.to);
}

/** Marks a user as deleted. Loading their names again (`loadedAt: 0`) confirms or reverts it. */
async function noteGone(tx: WriteTx, uid: string): Promise<void> {
  const known = await tx.user(uid);
  if (known?.deleted) return;
  await tx.putUser({
    uid,
    username: known?.username ?? "",
    displayName: known?.displayName ?? "",
    deleted: true,
    loadedAt: 0,
  });
}

/** Records that the server has queued the message or change. */
export async function accepted(tx: WriteTx, id: string, acceptedAt: Micros): Promise<void> {
  const row = await tx.queued(id);
  if (!row) return;
  if (isChange(row)) await changeRules(tx).storeChange(tx, { ...row, status: "sent" });
  else await advance(tx, row, { status: "sent", acceptedAt });
  await release(tx, row.conversation);
}

/**
 * Records that the server has the user's answer in a conversation. Before, it has not told the other user of the read
 * mark, so the mark counts as unsent, since `since` in ms.
 */
async function answered(tx: WriteTx, id: string, since: number | null): Promise<void> {
  const conversation = await tx.conversation(id);
  if (!conversation?.accepting) return;
  await moveMyRead(tx, { ...conversation, accepting: false, readShown: 0 }, conversation.myRead, since);
}

/** Clears ConversationRow.held. */
async function release(tx: WriteTx, id: string): Promise<void> {
  const conversation = await tx.conversation(id);
  if (conversation?.held === undefined) return;
  const { held: _, ...rest } = conversation;
  await tx.putConversation(rest);
}

async function conversationOf(tx: WriteTx, context: RuleContext, id: string): Promise<ConversationRow> {
  const known = await tx.conversation(id);
  if (known) return known;
  const made = emptyConversation(id, otherMember(id, context.uid) ?? "");
  // Nobody has written in a conversation that is not in the whole list.
  return (await tx.meta("list"))?.next === null ? { ...made, answered: false } : made;
}

/** Returns `row` with its place in the list and its preview updated for `message`. */
export function touched(context: RuleContext, row: ConversationRow, message: MessageRow): ConversationRow {
  const at = message.at;
  const believable = at !== null && at <= context.serverNow + MAX_AHEAD;
  const shown = at ?? context.serverNow;
  const newer =
    row.preview === null || message.place >= WAITING || (shown >= row.preview.at && !isPreview(row, message));
  return {
    ...row,
    ...(message.from === context.uid && {
      answered: true,
      ...(row.answered === false && message.status !== "delivered" && { accepting: true }),
    }),
    newest: believable ? Math.max(row.newest, at) : row.newest,
    recent: Math.max(row.recent, Math.min(shown, context.serverNow + MAX_AHEAD)),
    preview: newer ? { id: message.id, from: message.from, body: previewOf(message), at: shown } : row.preview,
  };
}

/** The rules that ./changes is built on. */
const BASE: BaseRules = {
  messageKey,
  otherMember,
  validMessageId,
  messagePath,
  emptyConversation,
  WAITING,
  MAX_AHEAD,
  isPreview,
  withNewestPreview,
  previewOf,
  noteBackfill,
};

/** Loads the rules of changes, which are not part of the first load. */
export async function loadChangeRules(): Promise<ChangeRules> {
  return new (await loadCode(() => import("./changes"))).MessageChanges(BASE);
}

/** Returns the rules of changes. Throws RulesMissing if they are not loaded, since a transaction cannot wait for code. */
export function changeRules(tx: WriteTx): ChangeRules {
  if (tx.rules) return tx.rules;
  throw new RulesMissing();
}
