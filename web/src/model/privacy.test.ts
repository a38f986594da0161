import { expect, test } from "vitest";
import type { LateParts } from "./interface/late";
import { changePrivacy, readPrivacy } from "./privacy";
import { FakeHttp } from "./testing/http";

/** A server that stores what it is given, and the calls that it got. */
function server(start: unknown): { parts: Pick<LateParts, "http">; calls: () => string[]; stored: unknown } {
  const http = new FakeHttp(({ method, body }): unknown => {
    if (method === "PUT") of.stored = body;
    return method === "PUT" ? of.stored : { uid: "a", privacy: of.stored };
  });
  const of = { parts: { http }, calls: () => http.calls.map((c) => `${c.method} ${c.path}`), stored: start };
  return of;
}

const DEFAULT = { last_seen: "everyone", read_receipts: true, writers: "everyone", findable: "everyone" };

test("a choice is changed, and those that another device has made meanwhile stay", async () => {
  const of = server(DEFAULT);
  expect(await readPrivacy(of.parts)).toEqual({
    ok: true,
    value: { lastSeen: "everyone", readReceipts: true, writers: "everyone", findable: "everyone" },
  });
  of.stored = { ...DEFAULT, writers: "known" };
  const changed = await changePrivacy(of.parts, { lastSeen: "chats", readReceipts: false });
  expect(changed).toMatchObject({ ok: true, value: { lastSeen: "chats", writers: "known" } });
  expect(of.stored).toEqual({ ...DEFAULT, last_seen: "chats", read_receipts: false, writers: "known" });
  expect(of.calls()).toEqual(["GET me", "GET me", "PUT me/privacy"]);
});

test("an earlier server has no such choices, and nothing is sent to it", async () => {
  const of = server(undefined);
  expect(await readPrivacy(of.parts)).toEqual({ ok: true, value: null });
  expect(await changePrivacy(of.parts, { findable: "username" })).toEqual({ ok: true, value: null });
  expect(of.calls()).toEqual(["GET me", "GET me"]);
});

test.each([
  ["a choice that is not known", { ...DEFAULT, last_seen: "friends" }],
  ["a missing one", { last_seen: "everyone" }],
  ["something else", "everyone"],
])("%s is a problem", async (_, stored) => {
  const of = server(stored);
  expect(await readPrivacy(of.parts)).toMatchObject({ ok: false, problem: { code: "malformed" } });
  expect(await changePrivacy(of.parts, { findable: "username" })).toMatchObject({ ok: false });
  expect(of.calls()).not.toContain("PUT me/privacy");
});
