import { expect, test } from "vitest";
import type { AdminCalls } from "../interface/admin";
import { adminOf } from "./admin";

interface Call {
  method: string;
  path: string;
  body: unknown;
}

function panel(answer: unknown): { calls: Call[]; admin: ReturnType<typeof adminOf> } {
  const calls: Call[] = [];
  const raw: AdminCalls = {
    async call(method, path, body) {
      calls.push({ method, path, body });
      return { ok: true, value: answer };
    },
    async download(path) {
      calls.push({ method: "GET", path, body: undefined });
      return { ok: true, value: new Blob() };
    },
  };
  return { calls, admin: adminOf(raw) };
}

const ada = {
  uid: "u1",
  username: "ada",
  display_name: "Ada",
  email: "a@b.cd",
  admin: true,
  disabled: false,
  deleting: false,
  created_at: 1_700_000_000_123_456,
  last_active_at: 0,
};

test("people are asked for with what was chosen, and times become milliseconds", async () => {
  const { admin, calls } = panel({ users: [ada], next: "c2" });
  expect(await admin.users({ query: "a b&c", order: "newest", cursor: null })).toEqual({
    ok: true,
    value: {
      items: [
        {
          uid: "u1",
          username: "ada",
          displayName: "Ada",
          email: "a@b.cd",
          admin: true,
          disabled: false,
          deleting: false,
          createdAt: 1_700_000_000_123,
          lastActiveAt: null,
        },
      ],
      next: "c2",
    },
  });
  expect(calls[0]?.path).toBe("/users?q=a+b%26c&order=newest");
});

test("a change carries only what changes, and why", async () => {
  const { admin, calls } = panel(ada);
  await admin.changeUser("u/1", { disabled: true }, "spam");
  expect(calls[0]).toEqual({ method: "PATCH", path: "/users/u%2F1", body: { disabled: true, reason: "spam" } });
});

test("figures without the realtime service", async () => {
  const { admin } = panel({
    at: 5_000,
    people: 2,
    active_today: 1,
    dead_letters: 0,
    messages_per_day: [{ day: "2026-11-22", count: 3 }],
    realtime: null,
  });
  expect(await admin.figures()).toEqual({
    ok: true,
    value: {
      at: 5,
      people: 2,
      activeToday: 1,
      deadLetters: 0,
      messagesPerDay: [{ day: "2026-11-22", count: 3 }],
      realtime: null,
    },
  });
});

test("sockets are listed by instance, the busiest first", async () => {
  const { admin } = panel({
    at: 1,
    people: 0,
    active_today: 0,
    dead_letters: 0,
    messages_per_day: null,
    realtime: { sockets: { a: 1, b: 4 }, queued: 2, oldest_age_ms: 900, complete: true },
  });
  const got = await admin.figures();
  expect(got.ok && got.value.realtime?.sockets).toEqual([
    { instance: "b", count: 4 },
    { instance: "a", count: 1 },
  ]);
});

test.each([undefined, null, "x", [], { users: [{ uid: "u1" }] }, { users: "none" }])(
  "an answer like %o is a problem, not a crash",
  async (answer) => {
    const got = await panel(answer).admin.users({ query: "", order: "name", cursor: null });
    expect(got.ok).toBe(false);
  },
);

test("a refusal of the server is handed on as it is", async () => {
  const problem = { code: "last_admin", message: "This is the last admin.", fields: {}, retryAfterMs: null };
  const admin = adminOf({ call: async () => ({ ok: false, problem }), download: async () => ({ ok: false, problem }) });
  expect(await admin.deleteUser("u1", "")).toEqual({ ok: false, problem });
  expect(await admin.exportAudit()).toEqual({ ok: false, problem });
});
