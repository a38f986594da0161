import { expect, test } from "vitest";
import { text } from ".";
import { peopleText } from "./people";
import { plurals } from "./plural";

test("a language chooses the form by its own rules, or else the general one", () => {
  const polish = { one: "wiadomość", few: "wiadomości", other: "wiadomości…" };
  const forms = [1, 2, 5, 22].map((n) => plurals("pl")(n, { ...polish, many: "wiadomości!" }));
  expect(forms).toEqual([polish.one, polish.few, "wiadomości!", polish.few]);
  expect(plurals("pl")(5, polish)).toBe(polish.other);
  expect(plurals("en")(0, { one: "message", other: "messages" })).toBe("messages");
});

test("texts with a number have its form", () => {
  expect(text.chats.unreadSpoken(1)).toBe("1 unread message");
  expect(text.chats.unreadSpoken(2)).toBe("2 unread messages");
  expect(text.conversation.left(1, "1")).toBe("1 character left");
  expect(text.conversation.over(1_000, "1,000")).toBe("1,000 characters too many");
  expect([0, 1, 2].map(peopleText.found)).toEqual(["Nobody found", "1 person", "2 people"]);
});
