import type { Message } from "../../model";
import type { Beside } from "../parts/beside";

/** The actions on a message. The list implements them. */
export interface BubbleActions {
  readonly reply: (message: Message) => void;
  readonly retry: (message: Message) => void;
  /** Deletes a message that was not sent from this device. */
  readonly remove: (message: Message) => void;
  readonly deleteForAll: (message: Message) => void;
  /** Opens the dialog that sends the text of the message to other people. */
  readonly forward: (message: Message) => void;
  readonly edit: (message: Message) => void;
  /** Sets the user's reaction. "": withdraws it. */
  readonly react: (message: Message, emoji: string) => void;
  /** Opens the picker of emoji for a reaction, beside a place of the viewport. */
  readonly reactMore: (message: Message, beside: Beside) => void;
  /** Hides why a change was taken back. */
  readonly dismiss: (message: Message) => void;
  /** Gives the message a star, or takes it away. */
  readonly star: (message: Message, on: boolean) => void;
  readonly jump: (key: string) => void;
  readonly toggle: (key: string) => void;
  /** Sets the message under the pointer or with the focus, which shows its actions. */
  readonly activate: (key: string | null) => void;
  /** Opens the menu of a message beside a place of the viewport. */
  readonly menu: (message: Message, beside: Beside) => void;
}
