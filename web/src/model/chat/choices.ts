/** The user's choices about conversations and messages. Their code is loaded when a screen needs it. */
import { ApiProblem } from "../../net/problem";
import type { LateParts } from "../interface/late";
import type { OwnChoice } from "../interface/choices";
import type { Outcome } from "../interface/outcome";
import type { WriteTx } from "../store/tx";

/** The server's limits. */
const MAX_PINNED = 20;
const MAX_STARS = 500;

/**
 * Makes a choice about the conversation: at once on this device, and on the user's other ones when possible. Problems
 * (nothing was stored): "pins_full", "stars_full", "storage_full".
 */
export async function choose(parts: LateParts, conversation: string, choice: OwnChoice): Promise<Outcome> {
  const { kind } = choice;
  return await parts.change(async (tx, rules) => {
    if (kind === "pin" && choice.on && (await countOn(tx, "pin")) >= MAX_PINNED)
      throw new ApiProblem(409, "pins_full", "");
    if (kind === "star" && choice.on && (await countOn(tx, "star")) >= MAX_STARS)
      throw new ApiProblem(409, "stars_full", "");
    if (kind === "unread" && !choice.on) {
      const row = await tx.conversation(conversation);
      if (row?.preview && row.preview.at > row.myRead) await rules.moveMyRead(tx, row, row.preview.at);
    }
    const message = kind === "star" ? choice.key : "";
    await rules.choose(tx, { conversation, kind, message }, await valueOf(tx, conversation, choice));
  });
}

async function valueOf(tx: WriteTx, conversation: string, choice: OwnChoice): Promise<number> {
  if (choice.kind === "mute")
    return choice.until === Number.POSITIVE_INFINITY ? Number.MAX_SAFE_INTEGER : Math.round(choice.until * 1000);
  if (choice.kind === "remove" && choice.on) return (await tx.conversation(conversation))?.preview?.at ?? 0;
  return Number(choice.on);
}

async function countOn(tx: WriteTx, kind: string): Promise<number> {
  return (await tx.settings()).filter((row) => row.kind === kind && row.value === 1).length;
}
