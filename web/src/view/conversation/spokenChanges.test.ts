import { describe, expect, test } from "vitest";
import type { Message } from "../../model";
import { text } from "../../text";
import { messageText } from "../../text/messages";
import { spokenChanges } from "./spokenChanges";

type Changes = NonNullable<Message["changes"]>;
const none: Changes = { deleted: false, edited: null, reactions: [], waiting: false, undo: false };

const message = (key: string, mine: boolean, body: string, changes?: Partial<Changes>) =>
  ({ key, mine, body, ...(changes && { changes: { ...none, ...changes } }) }) as Message;
const bob = (emoji: string) => ({ emoji, mine: false });
const me = (emoji: string) => ({ emoji, mine: true });
const { reacted, you } = text.conversation;
const { spokenDeleted, spokenEdited } = messageText;

describe("what is spoken", () => {
  test.each<[string, Message, Message, string]>([
    ["an edit", message("a", false, "x"), message("a", false, "y", { edited: 1 }), spokenEdited("Bob", "y")],
    ["a deletion", message("a", false, "x"), message("a", false, "", { deleted: true }), spokenDeleted("Bob")],
    [
      "a reaction to an own message",
      message("a", true, "x"),
      message("a", true, "x", { reactions: [bob("👍")] }),
      reacted("Bob", "👍"),
    ],
    [
      "the user's own reaction",
      message("a", false, "x", { reactions: [bob("👍")] }),
      message("a", false, "x", { reactions: [bob("👍"), me("👍")] }),
      reacted(you, "👍"),
    ],
    [
      "a reaction in place of another",
      message("a", true, "x", { reactions: [bob("👍")] }),
      message("a", true, "x", { reactions: [bob("🎉")] }),
      reacted("Bob", "🎉"),
    ],
    [
      "an edit and a reaction at once",
      message("a", false, "x"),
      message("a", false, "y", { edited: 1, reactions: [me("👍")] }),
      `${spokenEdited("Bob", "y")}\n${reacted(you, "👍")}`,
    ],
    ["an own edit", message("a", true, "x"), message("a", true, "y", { edited: 1 }), ""],
    ["an own deletion", message("a", true, "x"), message("a", true, "", { deleted: true }), ""],
    [
      "a deletion that was spoken before",
      message("a", false, "", { deleted: true }),
      message("a", false, "", { deleted: true, waiting: true }),
      "",
    ],
    [
      "an edit back to the same text",
      message("a", false, "x", { edited: 1 }),
      message("a", false, "x", { edited: 2 }),
      "",
    ],
    [
      "a withdrawn reaction",
      message("a", true, "x", { reactions: [bob("👍")] }),
      message("a", true, "x", { edited: null }),
      "",
    ],
  ])("of %s", (_, before, now, said) => {
    const other = message("b", false, "other");
    expect(spokenChanges([other, before], [other, now], "Bob")).toBe(said);
  });

  test("of a long text is its beginning", () => {
    const edited = message("a", false, "long ".repeat(500), { edited: 1 });
    expect(spokenChanges([message("a", false, "x")], [edited], "Bob").length).toBeLessThan(400);
  });

  test("is nothing while messages arrive, or where another message has taken the place", () => {
    const edited = message("a", false, "y", { edited: 1 });
    expect(spokenChanges([message("a", false, "x")], [edited, message("b", false, "new")], "Bob")).toBe("");
    expect(spokenChanges([message("c", false, "x")], [edited], "Bob")).toBe("");
    expect(spokenChanges([edited], [edited], "Bob")).toBe("");
  });
});
