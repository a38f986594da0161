import { expect, test } from "vitest";
import type { LateParts } from "./interface/late";
import { changePrivacy, readPrivacy } from "./privacy";

/** A server that stores what it is given, and the calls that it got. */
function server(start: unknown): { parts: Pick<LateParts, "http">; calls: string[]; stored: unknown } {
  const calls: string[] = [];
  const of = {
    calls,
    stored: start,
    parts: {
      http: {
        async answer({ method, path, body }: { method: string; path: string; body?: unknown }) {
          calls.push(`${method} ${path}`);
          if (method === "PUT") of.stored = body;
          const answer = method === "PUT" ? of.stored : { uid: "a", privacy: of.stored };
          return { status: 200, header: () => null, body: JSON.stringify(answer) };
        },
      },
    } as unknown as Pick<LateParts, "http">,
  };
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
  expect(of.calls).toEqual(["GET me", "GET me", "PUT me/privacy"]);
});

test("an earlier server has no such choices, and nothing is sent to it", async () => {
  const of = server(undefined);
  expect(await readPrivacy(of.parts)).toEqual({ ok: true, value: null });
  expect(await changePrivacy(of.parts, { findable: "username" })).toEqual({ ok: true, value: null });
  expect(of.calls).toEqual(["GET me", "GET me"]);
});

test.each([
  ["a choice that is not known", { ...DEFAULT, last_seen: "friends" }],
  ["a missing one", { last_seen: "everyone" }],
  ["something else", "everyone"],
])("%s is a problem", async (_, stored) => {
  const of = server(stored);
  expect(await readPrivacy(of.parts)).toMatchObject({ ok: false, problem: { code: "malformed" } });
  expect(await changePrivacy(of.parts, { findable: "username" })).toMatchObject({ ok: false });
  expect(of.calls).not.toContain("PUT me/privacy");
});
