/**
 * The user's choices about conversations and messages (the settings of DESIGN §8). Of two of one kind about the same
 * thing, the later one counts. A choice is shown at once and stays unsent until the server has answered.
 */
import { type Micros, otherMember } from "../../protocol/chat";
import type { Setting } from "../../protocol/frames";
import type { RuleContext, WriteTx } from "./tx";
import type { SettingRow } from "./rows";

export type Choice = Pick<Setting, "value" | "at" | "id">;

/** What a choice is about. */
export type Subject = Pick<Setting, "conversation" | "message" | "kind">;

/** The value of a mute without an end. */
export const ALWAYS: Micros = Number.MAX_SAFE_INTEGER;
/** The server refuses a choice that is older. */
const MAX_AGE: Micros = 29 * 24 * 3_600_000_000;

/** The primary key of a setting. Those of one kind and conversation are adjacent. */
export function settingKey({ kind, conversation, message }: Subject): string {
  return `${kind}:${conversation}/${message}`;
}

function beats(a: Choice, b: Choice): boolean {
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
  return true;
}

/**
 * Stores all settings that the server has, as it listed them at `askedAt`. Others from before are not on any more: it
 * does not list stars that were taken away, and forgets what is off.
 */
export async function applySettings(
  tx: WriteTx,
  context: RuleContext,
  listed: readonly Setting[],
  askedAt: Micros,
): Promise<void> {
  for (const setting of listed) await applySetting(tx, context, setting);
  const kept = new Set(listed.map(settingKey));
  for (const row of await tx.settings())
    if (row.unsent === undefined && row.at < askedAt && !kept.has(row.key)) await tx.deleteSetting(row);
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
}

/**
 * Returns the setting as it is to be sent now, or null if it was sent meanwhile. Its time was read from a clock that may
 * have been wrong, and it may have waited for weeks; the server accepts neither the future nor the distant past.
 */
export async function freezeSetting(tx: WriteTx, context: RuleContext, key: string): Promise<SettingRow | null> {
  const row = await tx.setting(key);
  if (row?.unsent === undefined) return null;
  const at = Math.max(Math.min(row.at, context.serverNow), context.serverNow - MAX_AGE);
  if (at === row.at) return row;
  const frozen = { ...row, at };
  await tx.putSetting(frozen);
  return frozen;
}

/** Takes back a choice that the server has refused for good, unless the user has made another one. */
export async function revertSetting(tx: WriteTx, refused: SettingRow): Promise<void> {
  const row = await tx.setting(refused.key);
  if (row?.unsent === undefined || row.id !== refused.id) return;
  const { conversation, message, kind, key, before } = row;
  if (before) await tx.putSetting({ conversation, message, kind, key, ...before });
  else await tx.deleteSetting(row);
}

function choiceOf({ value, at, id }: Choice): Choice {
  return { value, at, id };
}
