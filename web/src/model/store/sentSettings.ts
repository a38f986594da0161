/** Rules for settings that are sent to the server, and for all those that it has. */
import type { Micros } from "../../protocol/chat";
import type { Setting } from "../../protocol/frames";
import type { SettingRow } from "./rows";
import { applyRequest, applySetting, settingKey } from "./settings";
import type { RuleContext, WriteTx } from "./tx";

/** The server refuses a choice that is older. */
const MAX_AGE: Micros = 29 * 24 * 3_600_000_000;

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
    if (row.unsent === undefined && row.at < askedAt && !kept.has(row.key)) {
      await tx.deleteSetting(row);
      await applyRequest(tx, context, row);
    }
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
export async function revertSetting(tx: WriteTx, context: RuleContext, refused: SettingRow): Promise<void> {
  const row = await tx.setting(refused.key);
  if (row?.unsent === undefined || row.id !== refused.id) return;
  const { conversation, message, kind, key, before, value, at, id } = row;
  // An accepted request stays accepted here. A server that refuses it is an earlier one, which has no requests.
  const counts = kind === "accept" ? { value, at, id } : before;
  if (counts) await tx.putSetting({ conversation, message, kind, key, ...counts });
  else await tx.deleteSetting(row);
  await applyRequest(tx, context, row);
}
