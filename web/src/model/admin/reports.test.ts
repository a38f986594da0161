import { expect, test } from "vitest";
import { Fields, Malformed } from "../../protocol/fields";
import { readListedReport, readReport } from "./reports";

const LISTED = {
  id: "0123",
  at: 1_700_000_000_123_456,
  about: { uid: "bob", username: "bob", display_name: "Bob" },
  reason: "spam",
  state: "acted",
  messages: 2,
};

const DETAIL = {
  ...LISTED,
  about: { ...LISTED.about, disabled: true, limited_until: 1_700_000_001_000_000, warned_at: 0 },
  comment: "He writes to everybody.",
  reporter: { uid: "ada", username: "ada", display_name: "Ada" },
  messages: [
    { from: "bob", id: "m1", at: 1_700_000_000_000_000, body: "Buy this", mark: "same" },
    { from: "bob", id: "m2", at: 1_700_000_000_000_001, body: "Buy that", mark: "differs", archive: "Hello" },
  ],
  actions: [
    { at: 1_700_000_002_000_000, by_name: "Root", action: "limit", days: 7 },
    { at: 1_700_000_003_000_000, by_name: "Root", action: "warn" },
  ],
  others: [{ ...LISTED, id: "4567", state: "open" }],
  more_others: true,
};

const read = (content: object) => readReport(new Fields("report", content));

test("a report is read with its copies, its actions and other reports about the person", () => {
  expect(read(DETAIL)).toEqual({
    id: "0123",
    at: 1_700_000_000_123,
    state: "acted",
    reason: "spam",
    comment: "He writes to everybody.",
    reporter: { uid: "ada", username: "ada", displayName: "Ada" },
    about: { uid: "bob", username: "bob", displayName: "Bob" },
    disabled: true,
    limitedUntil: 1_700_000_001_000,
    warnedAt: null,
    messages: [
      { from: "bob", id: "m1", at: 1_700_000_000_000, body: "Buy this", mark: "same", archive: "" },
      { from: "bob", id: "m2", at: 1_700_000_000_000, body: "Buy that", mark: "differs", archive: "Hello" },
    ],
    actions: [
      { at: 1_700_000_002_000, byName: "Root", action: "limit", days: 7 },
      { at: 1_700_000_003_000, byName: "Root", action: "warn", days: 0 },
    ],
    others: [
      {
        id: "4567",
        at: 1_700_000_000_123,
        about: { uid: "bob", username: "bob", displayName: "Bob" },
        reason: "spam",
        state: "open",
        messages: 2,
      },
    ],
    moreOthers: true,
  });
});

test("people who have left have no names, a reporter may be missing, and an unknown state counts as open", () => {
  const { reporter: _, ...anonymous } = DETAIL;
  const about = { ...DETAIL.about, username: "", display_name: "" };
  expect(read({ ...anonymous, about, state: "later" })).toMatchObject({
    reporter: null,
    about: { uid: "bob", username: "", displayName: "" },
    state: "open",
  });
});

test.each([
  ["no copies", { ...DETAIL, messages: undefined }],
  ["a copy without a mark", { ...DETAIL, messages: [{ ...DETAIL.messages[0], mark: undefined }] }],
  ["a time that is not a whole number", { ...DETAIL, at: 1.5 }],
  ["an action that is not an object", { ...DETAIL, actions: ["warn"] }],
])("%s is malformed", (_, content) => {
  expect(() => read(JSON.parse(JSON.stringify(content)) as object)).toThrow(Malformed);
});

test("a listed report needs the person", () => {
  expect(() => readListedReport(new Fields("report", { ...LISTED, about: null }))).toThrow(Malformed);
});
