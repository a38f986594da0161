/**
 * The user's choices about conversations and messages (the settings of DESIGN §8). Of two of one kind about the same
 * thing, the later one counts. A choice is shown at once and stays unsent until the server has answered.
 */
import { type Micros, otherMember } from "../../protocol/chat";
import type { Setting } from "../../protocol/frames";
import { moveMyRead } from "./readMarks";
import type { SettingRow } from "./rows";
import { emptyConversation, type RuleContext, type WriteTx } from "./tx";

export type Choice = Pick<Setting, "value" | "at" | "id">;

/** The conversation or message that a choice is about, and the kind of choice. */
export type Subject = Pick<Setting, "conversation" | "message" | "kind">;

/** The value of a mute without an end. */
export const ALWAYS: Micros = Number.MAX_SAFE_INTEGER;

/** The primary key of a setting. Those of one kind and conversation are adjacent. */
export function settingKey({ kind, conversation, message }: Subject): string {
  return `${kind}:${conversation}/${message}`;
}

/** Whether the first choice is the later one. */
export function beats(a: Choice, b: Choice): boolean {
  return a.at === b.at ? a.id > b.id : a.at > b.at;
}

/**
 * Stores a choice that the server shows. Returns false for one that makes no sense for this user, which is ignored.
 */
export async function applySetting(tx: WriteTx, context: RuleContext, setting: Setting): Promise<boolean> {
  if (otherMember(setting.conversation, context.uid) === null) return false;
  const key = settingKey(setting);
  const known = await tx.setting(key);
  const shown: SettingRow = { ...setting, key };
  if (!known) await tx.putSetting(shown);
  else if (known.unsent !== undefined && beats(known, setting)) {
    // If the server refuses the own choice, the latest one of the server counts.
    const before = known.before && beats(known.before, setting) ? known.before : choiceOf(setting);
    await tx.putSetting({ ...known, before });
  } else if (known.unsent !== undefined || beats(setting, known)) await tx.putSetting(shown);
  await applyRequest(tx, context, setting);
  return true;
}

/** Stores a choice of the user, to be sent. `id` is a new UUIDv7. */
export async function choose(
  tx: WriteTx,
  context: RuleContext,
  id: string,
  subject: Subject,
  value: Micros,
): Promise<void> {
  const key = settingKey(subject);
  const known = await tx.setting(key);
  if ((known?.value ?? 0) === value) return;
  const at = Math.max(context.serverNow, (known?.at ?? 0) + 1);
  const before = known?.unsent === undefined ? known && choiceOf(known) : known.before;
  await tx.putSetting({ ...subject, value, at, id, key, unsent: context.now, ...(before && { before }) });
  await applyRequest(tx, context, subject);
}

/** Updates the row of a conversation after a choice about its request (see ./requests) has changed. */
export async function applyRequest(tx: WriteTx, context: RuleContext, subject: Subject): Promise<void> {
  const { kind, conversation: id } = subject;
  if (kind !== "accept" && kind !== "remove") return;
  const accept = await tx.setting(settingKey({ ...subject, kind: "accept" }));
  const removal = await tx.setting(settingKey({ ...subject, kind: "remove" }));
  const row = (await tx.conversation(id)) ?? emptyConversation(id, otherMember(id, context.uid) ?? "");
  // A device that did not know that the request was accepted has removed nothing.
  const removed = removal && !(accept && beats(removal, accept)) ? removal.value : 0;
  const accepting = accept?.unsent !== undefined;
  // Once the server knows of it, the read mark counts as unsent, since the other user has not got it.
  const known = accept && !accepting && (row.accepting || !row.answered);
  await moveMyRead(
    tx,
    { ...row, removed, ...(accept && { answered: true, accepting }), ...(known && { readShown: 0 }) },
    removed, // is not unread, which is not told to the other user
    known ? context.now : null,
  );
}

function choiceOf({ value, at, id }: Choice): Choice {
  return { value, at, id };
}
