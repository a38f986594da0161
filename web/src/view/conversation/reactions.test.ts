import { expect, test } from "vitest";
import type { Message } from "../../model";
import { countReactions, hasReactions } from "./reactions";

type Changes = NonNullable<Message["changes"]>;
const none: Changes = { deleted: false, edited: null, reactions: [], waiting: false, undo: false };
const message = (mine: boolean, changes?: Partial<Changes>) =>
  ({ mine, ...(changes && { changes: { ...none, ...changes } }) }) as Message;

test("equal reactions are counted together, in the order of the first, and the user's own are marked", () => {
  expect(countReactions([])).toEqual([]);
  expect(
    countReactions([
      { emoji: "👍", mine: false },
      { emoji: "🎉", mine: false },
      { emoji: "👍", mine: true },
    ]),
  ).toEqual([
    { emoji: "👍", count: 2, mine: true },
    { emoji: "🎉", count: 1, mine: false },
  ]);
  // Tones of skin, and signs with and without a variation selector, are different emoji.
  expect(countReactions(["👍", "👍🏽", "❤️", "❤"].map((emoji) => ({ emoji, mine: false })))).toHaveLength(4);
});

test.each([
  ["an unchanged message", message(true), false],
  ["an edited message", message(true, { edited: 1 }), false],
  ["a message with a reaction", message(true, { reactions: [{ emoji: "👍", mine: false }] }), true],
  ["a message of the other user whose withdrawn reaction waits", message(false, { waiting: true }), true],
  ["an own message whose edit waits, which its ticks show", message(true, { waiting: true }), false],
])("something is shown below %s: %s", (_, of, shown) => expect(hasReactions(of)).toBe(shown));
