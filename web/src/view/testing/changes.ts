import type { Message, OwnChange } from "../../model";
import { params } from "./options";

/** Deleted messages whose deletion can be undone. */
const deleted = new Map<string, Message>();

/** Applies a change of the user to a message of the fake model. With ?offline, changes wait. */
export function changeMessage(message: Message, change: OwnChange, set: (to: Partial<Message>) => void): void {
  const none = { deleted: false, edited: null, reactions: [], waiting: false, undo: false };
  const changes = { ...none, ...message.changes, waiting: params.has("offline") };
  switch (change.kind) {
    case "edit":
      set({ body: change.body, changes: { ...changes, edited: changes.waiting ? 0 : Date.now() } });
      return;
    case "delete":
      deleted.set(message.key, message);
      set({ body: "", changes: { ...none, deleted: true, waiting: true, undo: true } });
      return;
    case "undo": {
      const { body = "", changes: before = none } = deleted.get(message.key) ?? {};
      set({ body, changes: before });
      return;
    }
    case "react": {
      const others = changes.reactions.filter(({ mine }) => !mine);
      const own = change.emoji === "" ? [] : [{ emoji: change.emoji, mine: true }];
      set({ changes: { ...changes, reactions: [...others, ...own] } });
      return;
    }
    case "dismiss":
      // The page looks for the property.
      set({ reverted: undefined } as unknown as Partial<Message>);
  }
}
