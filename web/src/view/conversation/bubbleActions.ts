import type { Message } from "../../model";
import type { Beside } from "../parts/beside";

/** The actions on a message. The list implements them. */
export interface BubbleActions {
  reply(message: Message): void;
  retry(message: Message): void;
  remove(message: Message): void;
  jump(key: string): void;
  toggle(key: string): void;
  /** Sets the message under the pointer or with the focus, which shows its actions. */
  activate(key: string | null): void;
  /** Opens the menu of a message beside a place of the viewport. */
  menu(message: Message, beside: Beside): void;
}
