import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

interface Limits {
  readonly strangerMessages: number;
  readonly newPeople: number;
}

interface Writer {
  /** The address of the user is not verified, so they may write to fewer new people. */
  readonly unverified?: boolean;
}

const english = {
  /** Why a message was not sent. */
  refused: (why: string) => `Not sent. ${why}`,
  /** Why messages wait, by the code of the refusal; see Timeline.held. */
  held: {
    answer_awaited: (name: string, { strangerMessages }: { readonly strangerMessages: number }) =>
      `Waiting until ${name} answers. Before that, at most ${plural(strangerMessages, { one: "1 message", other: `${strangerMessages} messages` })} can be on the way.`,
    too_many_new_people: (name: string, { newPeople }: Limits, { unverified }: Writer = {}) =>
      `Waiting until tomorrow, or until ${name} writes. You can write to ${plural(newPeople, { one: "1 new person", other: `${newPeople} new people` })} a day.${unverified === true ? " Confirm your email address to write to more." : ""}`,
    inbox_full: (name: string) => `Waiting until ${name} has received the messages before.`,
    outbox_full: () => "Waiting until more of your other messages have arrived.",
    at_ahead: () => "Waiting, because the clock of this device is ahead.",
  },
  /** The sentence for each code of a message or a change that was refused; see text.problems for the others. */
  problems: {
    recipient_unknown: "This account no longer exists.",
    recipient_unavailable: "You cannot write to this person.",
    writers_limited: "This person only gets messages from people they have written to.",
    contacts_forbidden: "An operator does not allow you to write to new people for now.",
    withdrawn: "It was withdrawn before it arrived.",
    at_too_old: "This message waited for more than 30 days.",
    id_reused: "This message could not be sent. Write it again.",
  },
} as const;

/** The texts of messages that were refused, or that wait for something else than the connection. */
export const heldText = inLanguage("held", english);

/** Returns why messages wait; "" for a code of a later server. */
export function heldReason(code: string, name: string, limits: Limits, me: Writer): string {
  const { held } = heldText;
  return Object.hasOwn(held, code) ? held[code as keyof typeof held](name, limits, me) : "";
}
