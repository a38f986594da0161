import type { Message } from "../../model";
import type { Beside } from "../parts/beside";

/** The actions on a message. The list implements them. */
export interface BubbleActions {
  reply(message: Message): void;
  retry(message: Message): void;
  /** Deletes a message that was not sent from this device, any other for everyone. */
  remove(message: Message): void;
  edit(message: Message): void;
  /** "": withdraws the reaction. */
  react(message: Message, emoji: string): void;
  /** Hides why a change was taken back. */
  dismiss(message: Message): void;
  jump(key: string): void;
  toggle(key: string): void;
  /** Sets the message under the pointer or with the focus, which shows its actions. */
  activate(key: string | null): void;
  /** Opens the menu of a message beside a place of the viewport. */
  menu(message: Message, beside: Beside): void;
}

/** Whether something is shown below the bubble of the message. */
export function hasNotes({ state, changes, reverted }: Message): boolean {
  return state === "refused" || reverted !== undefined || (changes !== undefined && notable(changes));
}

function notable({ reactions, waiting }: NonNullable<Message["changes"]>): boolean {
  return reactions.length > 0 || waiting;
}
