import type { Chat, Conversation, Message } from "../../model";
import type { Beside } from "../parts/beside";
import { loaded } from "../loaded";
import { problemText } from "../problems";
import { EmojiHelp } from "./emojiHelp.svelte";
import type { BubbleActions } from "./bubbleActions";
import type { ForwardDialog, MessageLayersState } from "./messageLayers";
import { MessageMenus, type MessageOf } from "./messageMenu.svelte";

/** The actions that concern the whole list, and what the others need of it. */
export interface ListActions extends Pick<BubbleActions, "reply" | "jump" | "toggle" | "activate"> {
  readonly messageOf: MessageOf;
  /** Whether messages can be answered. */
  readonly replies: () => boolean;
}

/** The actions on the messages of a list, with the dialogs that they open. */
export class MessageActions implements MessageLayersState {
  /** Messages that were removed from this device, as long as that can be undone. */
  hidden: readonly string[] = $state.raw([]);
  /** The message whose text is being edited. */
  edited: Message | null = $state.raw(null);
  /** The message that is being forwarded, and the dialog for that. */
  forwarded: { readonly message: Message; readonly Forward: ForwardDialog } | null = $state.raw(null);
  /** The message that the picker of emoji is open for. */
  reacting: Message | null = $state.raw(null);
  readonly emoji = new EmojiHelp();
  readonly menus: MessageMenus;
  readonly reply: BubbleActions["reply"];
  readonly jump: BubbleActions["jump"];
  readonly toggle: BubbleActions["toggle"];
  readonly activate: BubbleActions["activate"];

  readonly #chat: Chat;
  readonly #conversation: Conversation;

  constructor(
    chat: Chat,
    conversation: Conversation,
    { messageOf, replies, reply, jump, toggle, activate }: ListActions,
  ) {
    this.#chat = chat;
    this.#conversation = conversation;
    this.reply = reply;
    this.jump = jump;
    this.toggle = toggle;
    this.activate = activate;
    this.menus = new MessageMenus(messageOf, reply, replies);
  }

  /** Makes changes, once the code for that is loaded. */
  readonly changing = $derived.by(() => {
    const { loaded } = this.menus;
    return loaded && new loaded.Changing(this.#conversation, problemText);
  });

  menu = (message: Message, beside: Beside): void => void this.menus.open(message, beside);
  edit = (message: Message): void => void this.menus.use(() => (this.edited = message));
  forward = (message: Message): void =>
    void loaded(() => import("../forward/Forward.svelte")).then((code) => {
      if (code) this.forwarded = { message, Forward: code.default };
    });
  deleteForAll = (message: Message): void => void this.menus.use(() => this.changing?.deleteForAll(message));
  react = ({ key }: Message, emoji: string): void =>
    void this.menus.use(() => this.changing?.change(key, { kind: "react", emoji }));
  star = ({ key }: Message, on: boolean): void =>
    void this.menus.use(({ Choosing }) =>
      new Choosing(this.#chat, problemText, false).make(this.#conversation.id, { kind: "star", key, on }),
    );
  reactMore = (message: Message, beside: Beside): void => {
    this.reacting = message;
    void this.emoji.pick(beside);
  };
  dismiss = ({ key }: Message): void => void this.#conversation.change(key, { kind: "dismiss" });
  retry = ({ key }: Message): void => void this.menus.use(() => this.changing?.retry(key));
  remove = ({ key }: Message): void =>
    void this.menus.use(() =>
      this.changing?.remove(key, (hidden) => {
        this.hidden = [...this.hidden.filter((other) => other !== key), ...(hidden ? [key] : [])];
      }),
    );
}
