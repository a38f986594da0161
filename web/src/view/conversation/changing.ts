import type { Conversation, Message, OwnChange, Problem } from "../../model";
import { UNDO_MS } from "../../model";
import { text } from "../../text";
import { messageText } from "../../text/messages";
import { notices } from "../notices.svelte";
import { problemText } from "../problems";

/** Returns the sentence for a change that was not stored. */
export function changeProblem(problem: Problem): string {
  return problemText(problem, messageText.problems);
}

/** Changes a message, and says so if that is impossible. */
export async function changeMessage(conversation: Conversation, key: string, change: OwnChange): Promise<boolean> {
  const outcome = await conversation.change(key, change);
  if (!outcome.ok) notices.say(changeProblem(outcome.problem));
  return outcome.ok;
}

/** Deletes a message for everyone. The deletion waits on the device while it can be undone, also without this page. */
export async function deleteForAll(conversation: Conversation, { key }: Message): Promise<void> {
  if (!(await changeMessage(conversation, key, { kind: "delete" }))) return;
  // A message that was never sent is gone at once.
  const undoable = conversation.timeline.get().items.find((m) => m.key === key)?.changes?.undo === true;
  const undo = { label: text.common.undo, run: () => void changeMessage(conversation, key, { kind: "undo" }) };
  notices.say(messageText.deletedForAll, undoable ? undo : undefined, undefined, false, UNDO_MS);
}
