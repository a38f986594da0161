import { cut, type Message } from "../../model";
import { text } from "../../text";
import { messageText } from "../../text/messages";

/** Returns what is to be spoken of changed messages: edits and deletions of the other user, and everybody's reactions. */
export function spokenChanges(before: readonly Message[], now: readonly Message[], name: string): string {
  if (before.length !== now.length) return ""; // messages were added, which is more important
  const said: string[] = [];
  for (const [i, message] of now.entries()) {
    const old = before[i];
    if (!old || old === message || old.key !== message.key || !message.changes) continue;
    const { deleted, edited, reactions } = message.changes;
    if (deleted) {
      if (!old.changes?.deleted && !message.mine) said.push(messageText.spokenDeleted(name));
      continue;
    }
    if (!message.mine && edited !== null && old.body !== message.body)
      said.push(messageText.spokenEdited(name, cut(message.body, 300)));
    for (const { emoji, mine } of reactions)
      if (!old.changes?.reactions.some((r) => r.emoji === emoji && r.mine === mine))
        said.push(text.conversation.reacted(mine ? text.conversation.you : name, emoji));
  }
  return said.join("\n");
}
