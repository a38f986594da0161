/**
 * What events, answers and history do to what is stored: DESIGN §4 "Client
 * rules", one function per cause. Each runs inside a transaction of its
 * caller, may be repeated, and may come in any order. None lets a state go backwards.
 */
import { type ChatMessage, type Micros, otherMember, type SavedMessage, validMessageId } from "../../protocol/chat";
import type { ChatEvent, MessageRef } from "../../protocol/frames";
import { type ConversationRow, type DebtRow, type MessageRow, type RowStatus, WAITING } from "./rows";
import { emptyConversation, type WriteTx } from "./tx";

/** Who and when. */
export interface Here {
  readonly uid: string;
  /** This device's clock, in ms. */
  readonly now: number;
  /** The server's clock, so far as it is known, in µs. */
  readonly serverNow: Micros;
}

/** `delivered` usually comes within moments of `sent`; a debt is paid only when it does not. */
const DEBT_PATIENCE_MS = 3_000;
/** Nothing true is further ahead than this (DESIGN §3 allows 5 s); it must not push later messages ahead with it. */
const MAX_AHEAD: Micros = 60_000_000;
/** Code of a refusal: the recipient has no account. */
const GONE = "recipient_unknown";
/** Refusals of messages that are not here are remembered so long, and so many of them. */
const REFUSALS_LAST_MS = 31 * 24 * 3_600_000;
const MAX_REFUSALS = 500;
/** As the server's previews. */
const PREVIEW_UNITS = 400;

/** Applies an event. False: it makes no sense for this person and was passed over. */
export async function applyEvent(tx: WriteTx, here: Here, event: ChatEvent): Promise<boolean> {
  switch (event.type) {
    case "message":
    case "sent": {
      const { message } = event;
      const mine = event.type === "sent";
      if (!belongs(here, message) || (message.from === here.uid) !== mine) return false;
      await applyMessage(tx, here, message, mine ? "sent" : "received", null);
      return true;
    }
    case "delivered":
      if (otherMember(event.conversation, here.uid) === null) return false;
      for (const ref of event.messages) await applyDelivered(tx, here, event.conversation, ref, event.delivered_at);
      return true;
    case "refused":
      if (otherMember(event.conversation, here.uid) === null) return false;
      for (const ref of event.messages) await applyRefused(tx, here, event.conversation, ref, event);
      return true;
    case "read": {
      const other = otherMember(event.conversation, here.uid);
      if (other === null || (event.by !== here.uid && event.by !== other)) return false;
      await applyRead(tx, here, event.conversation, other, event.by, event.at);
      return true;
    }
    case "unknown":
      return true;
  }
}

/** Applies a message of history: it was delivered. False: it makes no sense for this person and was passed over. */
export async function applySaved(tx: WriteTx, here: Here, message: SavedMessage): Promise<boolean> {
  if (!belongs(here, message)) return false;
  const mine = message.from === here.uid;
  await applyMessage(tx, here, message, mine ? "delivered" : "received", mine ? message.delivered_at : null);
  return true;
}

function belongs(here: Here, m: ChatMessage): boolean {
  const other = otherMember(m.conversation, here.uid);
  if (other === null || !validMessageId(m.id)) return false;
  return (m.from === here.uid && m.to === other) || (m.from === other && m.to === here.uid);
}

async function applyMessage(
  tx: WriteTx,
  here: Here,
  message: ChatMessage,
  status: RowStatus,
  deliveredAt: Micros | null,
): Promise<void> {
  const known = await tx.message(message.id);
  if (known) {
    // An id that somebody else has used before is theirs.
    if (known.from !== message.from || known.conversation !== message.conversation) return;
    await advance(tx, known, { status, acceptedAt: message.accepted_at, deliveredAt, at: message.at });
    return;
  }
  let row: MessageRow = {
    id: message.id,
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
  };
  for (const kind of ["refused", "delivered"] as const) {
    const remembered = await tx.debt(`${kind}:${message.id}`);
    if (!remembered) continue;
    await tx.deleteDebt(remembered.key);
    if (status !== "sent") continue;
    if (kind === "delivered") row = { ...row, status: "delivered", deliveredAt: remembered.deliveredAt, refusal: null };
    else row = { ...row, status: "refused", refusal: remembered.refusal };
  }
  const readDebt = await tx.debt(`read:${message.conversation}`);
  if (readDebt && readDebt.at === message.at) await tx.deleteDebt(readDebt.key);
  await tx.putMessage(row);
  const conversation = await conversationOf(tx, here, message.conversation);
  const unseen = status === "received" && message.at > conversation.myRead;
  await tx.putConversation(touched(here, { ...conversation, unread: conversation.unread + (unseen ? 1 : 0) }, row));
}

const RANK: Readonly<Record<RowStatus, number>> = { waiting: 0, sent: 1, refused: 2, delivered: 3, received: 3 };

interface Step {
  readonly status: RowStatus;
  readonly acceptedAt?: Micros | null;
  readonly deliveredAt?: Micros | null;
  readonly at?: Micros;
  readonly refusal?: MessageRow["refusal"];
}

/** Moves a stored message on to a later state; never back. */
async function advance(tx: WriteTx, row: MessageRow, step: Step): Promise<void> {
  const forward = RANK[step.status] > RANK[row.status];
  const status = forward ? step.status : row.status;
  const at = row.at ?? step.at ?? null;
  const { queue, ...rest } = row;
  const settled = status === "delivered" || status === "refused";
  const next: MessageRow = {
    ...rest,
    status,
    at,
    place: at ?? row.place,
    acceptedAt: row.acceptedAt ?? step.acceptedAt ?? null,
    deliveredAt: row.deliveredAt ?? step.deliveredAt ?? null,
    refusal: status === "refused" ? (row.refusal ?? step.refusal ?? null) : null,
    ...(queue === undefined || settled ? {} : { queue }),
  };
  if (
    next.status === row.status &&
    next.at === row.at &&
    next.acceptedAt === row.acceptedAt &&
    next.deliveredAt === row.deliveredAt &&
    next.queue === row.queue
  ) {
    return;
  }
  await tx.putMessage(next);
}

async function applyDelivered(
  tx: WriteTx,
  here: Here,
  conversation: string,
  ref: MessageRef,
  deliveredAt: Micros,
): Promise<void> {
  const row = await tx.message(ref.id);
  if (row) {
    if (row.conversation === conversation && row.from === here.uid)
      await advance(tx, row, { status: "delivered", deliveredAt, at: ref.at });
    return;
  }
  await note(tx, here, {
    key: `delivered:${ref.id}`,
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
  here: Here,
  conversation: string,
  ref: MessageRef,
  refusal: { readonly code: string; readonly message: string },
): Promise<void> {
  const { code, message } = refusal;
  const row = await tx.message(ref.id);
  if (row) {
    if (row.conversation === conversation && row.from === here.uid) await refuse(tx, row, { code, message });
    return;
  }
  const other = otherMember(conversation, here.uid);
  if (code === GONE && other !== null) await noteGone(tx, other);
  await note(tx, here, {
    key: `refused:${ref.id}`,
    kind: "refused",
    conversation,
    id: ref.id,
    at: ref.at,
    deliveredAt: null,
    refusal: { code, message },
  });
}

/** The message will not be sent: out of the outbox, unless it is known to be delivered. */
export async function refuse(tx: WriteTx, row: MessageRow, refusal: { code: string; message: string }): Promise<void> {
  await advance(tx, row, { status: "refused", refusal });
  if (refusal.code === GONE) await noteGone(tx, row.to);
}

/** The server knows no such account any more. Their names, loaded anew when they are next wanted, confirm it or take it back. */
async function noteGone(tx: WriteTx, uid: string): Promise<void> {
  const known = await tx.person(uid);
  if (known?.deleted) return;
  await tx.putPerson({
    uid,
    username: known?.username ?? "",
    displayName: known?.displayName ?? "",
    deleted: true,
    loadedAt: 0,
  });
}

/** The server has queued the message. */
export async function accepted(tx: WriteTx, id: string, acceptedAt: Micros): Promise<void> {
  const row = await tx.message(id);
  if (row) await advance(tx, row, { status: "sent", acceptedAt });
}

async function applyRead(tx: WriteTx, here: Here, id: string, other: string, by: string, at: Micros): Promise<void> {
  const known = await tx.conversation(id);
  const row = known ?? emptyConversation(id, other);
  if (by === here.uid) await moveMyRead(tx, { ...row, readShown: Math.max(row.readShown, at) }, at, null);
  else if (at > row.otherRead) await tx.putConversation({ ...row, otherRead: at });
  // What was read is somewhere: if not here, it is to be loaded.
  if ((await tx.messagesAt(id, at)).length === 0) {
    await note(tx, here, {
      key: `read:${id}`,
      kind: "read",
      conversation: id,
      id: "",
      at,
      deliveredAt: null,
      refusal: null,
    });
  }
}

/** Moves the own read mark up to `at`, counts what is above it, and keeps it as unsent (`since`, in ms) while the server has not shown it. */
export async function moveMyRead(tx: WriteTx, row: ConversationRow, at: Micros, since: number | null): Promise<void> {
  const myRead = Math.max(row.myRead, at);
  const { readUnsent, ...rest } = row;
  let unread = row.unread;
  if (myRead > row.myRead) {
    const above = await tx.messagesFrom(row.id, myRead + 1);
    unread = above.filter((m) => m.status === "received").length;
  }
  const unsent = myRead > row.readShown ? (readUnsent ?? since ?? undefined) : undefined;
  if (unsent !== undefined) tx.changes.toDo();
  await tx.putConversation({ ...rest, myRead, unread, ...(unsent === undefined ? {} : { readUnsent: unsent }) });
}

/**
 * Forgets refusals of messages that never came here: old ones, since no message that old is taken any more (DESIGN §3), and the oldest where there are too many.
 */
export async function forgetRefusals(tx: WriteTx, here: Here): Promise<void> {
  if ((await tx.countRefusals()) === 0) return;
  const kept = [];
  for (const debt of await tx.refusals()) {
    // Also those that a clock far ahead has dated.
    if (Math.abs(here.now - debt.since) > REFUSALS_LAST_MS) await tx.deleteDebt(debt.key);
    else kept.push(debt);
  }
  if (kept.length <= MAX_REFUSALS) return;
  kept.sort((a, b) => a.since - b.since || a.at - b.at);
  // A tenth more than needed, so that this is seldom.
  for (const debt of kept.slice(0, kept.length - MAX_REFUSALS * 0.9)) await tx.deleteDebt(debt.key);
}

async function note(tx: WriteTx, here: Here, debt: Omit<DebtRow, "since" | "due" | "tries">): Promise<void> {
  const known = await tx.debt(debt.key);
  if (known && known.at >= debt.at) return;
  await tx.putDebt({
    ...debt,
    since: here.now,
    tries: 0,
    ...(debt.kind === "refused" ? {} : { due: here.now + DEBT_PATIENCE_MS }),
  });
  if (debt.kind === "refused" && (await tx.countRefusals()) > MAX_REFUSALS) await forgetRefusals(tx, here);
}

async function conversationOf(tx: WriteTx, here: Here, id: string): Promise<ConversationRow> {
  return (await tx.conversation(id)) ?? emptyConversation(id, otherMember(id, here.uid) ?? "");
}

/** `row` with what `message` means for its place in the list and its preview. */
export function touched(here: Here, row: ConversationRow, message: MessageRow): ConversationRow {
  const at = message.at;
  const believable = at !== null && at <= here.serverNow + MAX_AHEAD;
  const shown = at ?? here.serverNow;
  const newer =
    row.preview === null || message.place >= WAITING || (shown >= row.preview.at && message.id !== row.preview.id);
  return {
    ...row,
    newest: believable ? Math.max(row.newest, at) : row.newest,
    recent: Math.max(row.recent, Math.min(shown, here.serverNow + MAX_AHEAD)),
    preview: newer
      ? { id: message.id, from: message.from, body: message.body.slice(0, PREVIEW_UNITS), at: shown }
      : row.preview,
  };
}
