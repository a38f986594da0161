import type { Chat, ConversationSummary, Outcome } from "../../model";
import { choose } from "../../model/chat/choices";
import type { OwnChoice } from "../../model/interface/choices";
import { choiceText } from "../../text/choices";
import { laterText } from "../../text/later";
import { format } from "../format";
import { paths } from "../parts/paths";
import { icons } from "../parts/icons";
import type { MenuItem } from "../parts/menuItems";
import { notices } from "../notices.svelte";
import type { problemText } from "../problems";

/** The function of ../problems. It is passed, because an import would split the code of the first load. */
type ProblemText = typeof problemText;

const HOUR_MS = 3_600_000;

/** The choices about chats and messages that a user makes in menus. Problems are shown as notices. */
export class Choosing {
  readonly #chat: Chat;
  readonly #problemText: ProblemText;
  /** Whether notices are shown in the list. */
  readonly #side: boolean;

  constructor(chat: Chat, problemTextOf: ProblemText, side: boolean) {
    this.#chat = chat;
    this.#problemText = problemTextOf;
    this.#side = side;
  }

  async make(conversation: string, choice: OwnChoice): Promise<Outcome> {
    const outcome = await choose(this.#chat.late, conversation, choice);
    if (!outcome.ok) this.#complain(outcome.problem);
    return outcome;
  }

  /** Returns the items of the menu of a chat. `name` is the shown name of the other user. */
  items({ id, user, request, ...summary }: ConversationSummary, name: string): MenuItem[] {
    return request ? this.#requestItems(id, user.uid, name) : this.#chatItems({ id, ...summary }, name);
  }

  /** Removes a request, with an offer to undo it. `removed` runs before that appears beside the list. */
  async remove(conversation: string, name: string, removed?: () => void): Promise<void> {
    const outcome = await this.make(conversation, { kind: "remove", on: true });
    if (!outcome.ok) return;
    removed?.();
    const undo = {
      label: laterText.common.undo,
      run: () => void this.make(conversation, { kind: "remove", on: false }),
    };
    notices.say(laterText.conversation.requestRemoved(name), undo, undefined, true);
  }

  async block(uid: string): Promise<Outcome> {
    const outcome = await this.#chat.block(uid);
    if (!outcome.ok) this.#complain(outcome.problem);
    return outcome;
  }

  #complain(problem: Parameters<ProblemText>[0]): void {
    notices.say(this.#problemText(problem, choiceText.problems), undefined, undefined, this.#side);
  }

  #requestItems(id: string, uid: string, name: string): MenuItem[] {
    const words = laterText.conversation;
    return [
      { label: words.accept, icon: icons.accept, run: () => void this.#accept(id, name) },
      { label: words.remove, icon: icons.trash, run: () => void this.remove(id, name) },
      {
        label: choiceText.block(name),
        what: choiceText.blockHint,
        icon: icons.block,
        danger: true,
        run: () => void this.#block(uid, name),
      },
    ];
  }

  async #accept(conversation: string, name: string): Promise<void> {
    const outcome = await this.make(conversation, { kind: "accept", on: true });
    if (outcome.ok) notices.say(laterText.conversation.accepted(name), undefined, undefined, this.#side);
  }

  async #block(uid: string, name: string): Promise<void> {
    if (!(await this.block(uid)).ok) return;
    const undo = { label: laterText.common.undo, run: () => void this.#chat.unblock(uid) };
    notices.say(laterText.conversation.blockedDone(name), undo, undefined, this.#side);
  }

  #chatItems(
    { id, unread, marked, pinned, mutedUntil, archived }: Omit<ConversationSummary, "user" | "request">,
    name: string,
  ): MenuItem[] {
    const make = (choice: OwnChoice): void => void this.make(id, choice);
    const now = Date.now() + this.#chat.clockOffset.get();
    const mute = (label: string, until: number): MenuItem => ({
      label,
      icon: paths.muted,
      run: () => make({ kind: "mute", until }),
    });
    const isUnread = unread > 0 || marked;
    return [
      {
        label: isUnread ? choiceText.markRead : choiceText.markUnread,
        icon: icons.unread,
        run: () => make({ kind: "unread", on: !isUnread }),
      },
      {
        label: pinned ? choiceText.unpin : choiceText.pin,
        icon: paths.pin,
        run: () => make({ kind: "pin", on: !pinned }),
      },
      ...(mutedUntil > now
        ? [
            {
              ...mute(choiceText.unmute, 0),
              ...(mutedUntil === Number.POSITIVE_INFINITY
                ? {}
                : { what: choiceText.mutedUntil(format.full(mutedUntil)) }),
            },
          ]
        : [
            mute(choiceText.muteHour, now + HOUR_MS),
            mute(choiceText.muteHours, now + 8 * HOUR_MS),
            mute(choiceText.muteAlways, Number.POSITIVE_INFINITY),
          ]),
      {
        label: archived ? choiceText.unarchive : choiceText.archive,
        icon: icons.archive,
        run: () => void this.#archive(id, name, !archived),
      },
    ];
  }

  async #archive(conversation: string, name: string, on: boolean): Promise<void> {
    const outcome = await this.make(conversation, { kind: "archive", on });
    if (!outcome.ok || !on) return;
    const undo = {
      label: laterText.common.undo,
      run: () => void this.make(conversation, { kind: "archive", on: false }),
    };
    notices.say(choiceText.archived(name), undo, undefined, this.#side);
  }
}
