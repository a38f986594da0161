/** The message requests of the fake model. ?requests=8,9 in the address names the people who have written first. */
import type { ConversationSummary, Message, User } from "../../model";
import type { FakeChoices } from "./choices";
import { params } from "./options";
import { message } from "./people";

const asked = new Set(params.get("requests")?.split(",").map(Number));

/** The messages of somebody who has written first, oldest first. Null: the n-th person has not. */
export function requestOf(n: number): Message[] | null {
  if (!asked.has(n)) return null;
  const ago = (minutes: number): number => Date.now() - minutes * 60_000;
  return [
    message(false, "Hello, we met at the market on Saturday.", ago(50 + n)),
    message(false, "You asked about the lamps. I still have two of them, and would give them away.", ago(49 + n)),
  ];
}

export class FakeRequests {
  private readonly choices: FakeChoices;
  private readonly written = new Set<string>();

  constructor(choices: FakeChoices) {
    this.choices = choices;
  }

  /** The user has written to somebody. */
  answer(conversation: string): void {
    this.written.add(conversation);
  }

  /** Returns the messages that are shown: those that the user has not removed. */
  shown(conversation: string, messages: readonly Message[]): readonly Message[] {
    const removed = this.choices.value(conversation, "remove") / 1000;
    return removed === 0 ? messages : messages.filter(({ time }) => time > removed);
  }

  /** Whether the conversation with the n-th person is a request. */
  is(n: number, conversation: string, messages: readonly Message[]): boolean {
    if (!asked.has(n) || this.written.has(conversation) || this.choices.value(conversation, "accept") === 1)
      return false;
    return this.shown(conversation, messages).length > 0;
  }
}

/** Returns the lists that the conversations belong to. */
export function sorted(
  shown: readonly ConversationSummary[],
  blocked: readonly User[],
): Record<"items" | "archived" | "requests" | "all", ConversationSummary[]> {
  const chats = shown.filter(({ request }) => !request);
  return {
    items: chats.filter(({ archived }) => !archived).sort((a, b) => Number(b.pinned) - Number(a.pinned)),
    archived: chats.filter(({ archived }) => archived),
    requests: shown.filter(({ request, user }) => request && !blocked.some(({ uid }) => uid === user.uid)),
    all: [...shown],
  };
}
