import { expect, test } from "vitest";
import type { AdminCalls } from "../interface/admin";
import type { Outcome } from "../interface/outcome";
import { adminOf, withConfirmation } from "./admin";

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
    async confirm() {
      return { ok: true, value: undefined };
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
  email_verified: true,
  admin: true,
  picture: "v1",
  disabled: false,
  deleting: false,
  created_at: 1_700_000_000_123_456,
  last_active_at: 0,
};

test("the list of users is requested with the chosen options, and times become milliseconds", async () => {
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
          emailVerified: true,
          admin: true,
          picture: "v1",
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

test("a change carries only the changed fields and the reason", async () => {
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
      users: 2,
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

test("a refusal of the server is returned unchanged", async () => {
  const problem = { code: "last_admin", message: "This is the last admin.", fields: {}, retryAfterMs: null };
  const refused = async (): Promise<Outcome<never>> => ({ ok: false, problem });
  const admin = adminOf({ confirm: refused, call: refused, download: refused });
  expect(await admin.deleteUser("u1", "")).toEqual({ ok: false, problem });
  expect(await admin.exportAudit()).toEqual({ ok: false, problem });
});

test.each([false, undefined])(
  "a user counts as not verified if the server says so, or nothing (%s)",
  async (verified) => {
    const { admin } = panel({ users: [{ ...ada, email_verified: verified }], next: "" });
    const got = await admin.users({ query: "", order: "newest", cursor: null });
    expect(got.ok && got.value.items[0]?.emailVerified).toBe(false);
  },
);

/** Calls that need a new sign-in until `confirmed`, and the questions that were asked. */
function guarded(): {
  calls: AdminCalls;
  state: {
    refusal: string;
    confirmed: boolean;
    made: string[];
    asked: number;
    factors: number;
    answer: (yes: boolean) => void;
  };
} {
  const state = {
    refusal: "sign_in_again",
    confirmed: false,
    made: [] as string[],
    asked: 0,
    factors: 0,
    answer: (_: boolean): void => undefined,
  };
  const result = async <T>(path: string, value: T): Promise<Outcome<T>> => {
    state.made.push(path);
    if (state.confirmed) return { ok: true, value };
    return { ok: false, problem: { code: state.refusal, message: "x", fields: {}, retryAfterMs: null } };
  };
  const calls = withConfirmation(
    {
      confirm: async () => ({ ok: true, value: undefined }),
      call: (_, path) => result<unknown>(path, "done"),
      download: (path) => result(path, new Blob()),
    },
    () => {
      state.asked++;
      return new Promise((resolve) => (state.answer = resolve));
    },
    () => void state.factors++,
  );
  return { calls, state };
}

test("a call that needs a new sign-in asks for it and is repeated once; calls that fail together share the question", async () => {
  const { calls, state } = guarded();
  const all = Promise.all([calls.call("GET", "/a"), calls.call("POST", "/b", {}), calls.download("/c")]);
  await Promise.resolve();
  await Promise.resolve();
  expect(state.asked).toBe(1);
  state.confirmed = true;
  state.answer(true);
  expect((await all).map((o) => o.ok)).toEqual([true, true, true]);
  expect(state.made).toEqual(["/a", "/b", "/c", "/a", "/b", "/c"]);
  expect((await calls.call("GET", "/d")).ok).toBe(true);
  expect(state.asked).toBe(1);
});

test("a call is not repeated if the question is canceled, nor twice if the server asks again; the next call asks again", async () => {
  const { calls, state } = guarded();
  const canceled = calls.call("GET", "/a");
  await Promise.resolve();
  await Promise.resolve();
  state.answer(false);
  expect(await canceled).toMatchObject({ ok: false, problem: { code: "sign_in_again" } });
  expect(state.made).toEqual(["/a"]);
  const again = calls.call("GET", "/a");
  await Promise.resolve();
  await Promise.resolve();
  state.answer(true);
  expect(await again).toMatchObject({ ok: false, problem: { code: "sign_in_again" } });
  expect(state.made).toEqual(["/a", "/a", "/a"]);
  expect(state.asked).toBe(2);
});

test("a call that needs a second factor is not repeated, because the admin has to set it up first", async () => {
  const { calls, state } = guarded();
  state.refusal = "second_factor_required";
  expect(await calls.call("GET", "/a")).toMatchObject({ ok: false, problem: { code: "second_factor_required" } });
  expect([state.factors, state.asked, state.made.length]).toEqual([1, 0, 1]);
});
