import { describe, expect, test } from "vitest";
import { FakeClock } from "../platform/testing/clock";
import { FakePlatform, settle } from "../platform/testing/fake";
import { type HttpAnswer, type HttpRequest, NetworkError } from "../platform/platform";
import { type Config, ConfigSource, foreignTo } from "./config";
import { SignInEnded } from "./connection";
import { HttpApi } from "./http";
import { ApiProblem } from "./problem";

function api(answers: (HttpAnswer | Error)[]): {
  http: HttpApi;
  seen: HttpRequest[];
  refused: (string | null)[];
  platform: FakePlatform;
} {
  const platform = new FakePlatform({ clock: new FakeClock(0, settle) });
  const seen: HttpRequest[] = [];
  const refused: (string | null)[] = [];
  platform.answer = async (request) => {
    seen.push(request);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? { status: 500, header: () => null, body: "" };
  };
  const http = new HttpApi(platform, {
    base: async () => "https://api.test/",
    token: async (token) => {
      refused.push(token);
      return { value: token === null ? "kept" : "fresh", endsAt: 0 };
    },
  });
  return { http, seen, refused, platform };
}

const answer = (status: number, body: unknown, headers: Record<string, string> = {}): HttpAnswer => ({
  status,
  header: (name) => headers[name] ?? null,
  body: typeof body === "string" ? body : JSON.stringify(body),
});

async function problem(work: Promise<unknown>): Promise<ApiProblem> {
  try {
    await work;
  } catch (err) {
    if (err instanceof ApiProblem) return err;
    throw err;
  }
  throw new Error("the call did not fail");
}

describe("calls", () => {
  test("carry the token, the query and the body", async () => {
    const { http, seen } = api([answer(200, { a: 1 }), answer(204, "")]);
    expect(await http.json({ method: "GET", path: "users", query: { q: "a b&c", cursor: null, limit: 5 } })).toEqual({
      a: 1,
    });
    expect(seen[0]).toMatchObject({
      url: "https://api.test/users?q=a+b%26c&limit=5",
      headers: { authorization: "Bearer kept" },
      body: null,
    });
    expect(await http.json({ method: "POST", path: "signup", body: { x: 1 }, open: true })).toBeUndefined();
    expect(seen[1]?.headers).toEqual({ accept: "application/json", "content-type": "application/json" });
    expect(seen[1]?.body).toBe('{"x":1}');
  });

  test("return the problem details of the server", async () => {
    const { http } = api([
      answer(409, {
        code: "username_taken",
        detail: "Taken.",
        fields: { username: "Taken.", email: "No." },
        field_codes: { email: "email_letters", odd: 7 },
        retry_after_ms: 1500,
      }),
    ]);
    expect(await problem(http.json({ method: "PATCH", path: "me", body: {} }))).toMatchObject({
      status: 409,
      code: "username_taken",
      message: "Taken.",
      fields: { username: "", email: "email_letters" },
      retryAfterMs: 1500,
      retryable: false,
    });
  });

  test("become a problem for an answer that is not a problem document", async () => {
    const { http } = api([
      answer(503, "<html>", { "retry-after": "7" }),
      answer(418, ""),
      answer(200, "{"),
      answer(200, { users: 1 }),
    ]);
    const call = { method: "GET", path: "x" } as const;
    expect(await problem(http.json(call))).toMatchObject({ code: "unavailable", retryAfterMs: 7000, retryable: true });
    expect(await problem(http.json(call))).toMatchObject({ code: "unexpected", retryable: false });
    expect(await problem(http.json(call))).toMatchObject({ code: "malformed", retryable: true });
  });

  test("fail as offline without a network", async () => {
    const { http } = api([new NetworkError("gone")]);
    expect(await problem(http.json({ method: "GET", path: "x" }))).toMatchObject({
      status: 0,
      code: "offline",
      retryable: true,
    });
  });

  test("are repeated once with a fresh token after a 401, never twice", async () => {
    const { http, refused: tokens } = api([answer(401, { code: "token_ended", detail: "x" }), answer(200, { ok: 1 })]);
    expect(await http.json({ method: "GET", path: "x" })).toEqual({ ok: 1 });
    expect(tokens).toEqual([null, "kept"]);
    const again = api([
      answer(401, { code: "unauthenticated", detail: "x" }),
      answer(401, { code: "unauthenticated", detail: "x" }),
      answer(200, {}),
    ]);
    expect(await problem(again.http.json({ method: "GET", path: "x" }))).toMatchObject({ status: 401 });
    expect(again.seen.length).toBe(2);
    const open = api([answer(401, { code: "unauthenticated", detail: "x" })]);
    await problem(open.http.json({ method: "POST", path: "signup", open: true }));
    expect(open.seen.length).toBe(1);
  });

  test.each(["token_ended", "signed_out"])(
    "mean the end of the sign-in if the server has ended it: %s",
    async (code) => {
      const ended = answer(401, { code, detail: "x" });
      const { http, seen } = api([ended, ended, answer(200, {})]);
      await expect(http.json({ method: "GET", path: "x" })).rejects.toThrow(SignInEnded);
      expect(seen.length).toBe(2);
      // A call with a token of an earlier sign-in is about that sign-in, and is not repeated with another token.
      const old = api([ended, answer(200, {})]);
      expect(await problem(old.http.text({ method: "POST", path: "x", token: "old" }))).toMatchObject({ status: 401 });
      expect(old.seen.map((r) => r.headers["authorization"])).toEqual(["Bearer old"]);
    },
  );

  test("are repeated with a fresh token after a 403 only if they need a claim", async () => {
    const refused = answer(403, { code: "forbidden", detail: "x" });
    const { http, refused: tokens } = api([refused, answer(200, { ok: 1 })]);
    expect(await http.json({ method: "GET", path: "admin/users", claim: true })).toEqual({ ok: 1 });
    expect(tokens).toEqual([null, "kept"]);
    const again = api([refused, refused, answer(200, {})]);
    expect(await problem(again.http.json({ method: "GET", path: "admin/users", claim: true }))).toMatchObject({
      code: "forbidden",
    });
    expect(again.seen.length).toBe(2);
    const usual = api([refused, answer(200, {})]);
    expect(await problem(usual.http.json({ method: "GET", path: "x" }))).toMatchObject({ status: 403 });
    expect(usual.seen.length).toBe(1);
  });

  test("distinguish the end of a sign-in from a token that is not available now", async () => {
    const platform = new FakePlatform({ clock: new FakeClock(0, settle) });
    const failing = (err: Error): HttpApi =>
      new HttpApi(platform, {
        base: async () => "https://api.test",
        token: async () => {
          throw err;
        },
      });
    await expect(failing(new SignInEnded("ended")).json({ method: "GET", path: "x" })).rejects.toThrow(SignInEnded);
    expect(await problem(failing(new Error("?")).json({ method: "GET", path: "x" }))).toMatchObject({
      code: "offline",
    });
  });
});

describe("the configuration", () => {
  const good = {
    api_base: "/api",
    realtime_url: "https://chat.test/ws",
    firebase: { apiKey: "k", projectId: "p", authDomain: "d" },
  };

  test("is read, made absolute and stored for the next start", async () => {
    const platform = new FakePlatform({ clock: new FakeClock(0, settle) });
    platform.answer = async () => answer(200, { ...good, auth_emulator_url: "http://127.0.0.1:9" });
    const source = new ConfigSource(platform);
    expect(await source.get()).toEqual({
      apiBase: "https://chat.test/api",
      realtimeUrl: "wss://chat.test/ws",
      origins: null,
      identity: { apiKey: "k", emulatorUrl: "http://127.0.0.1:9" },
    });
    platform.answer = null;
    expect((await new ConfigSource(platform).get()).apiBase).toBe("https://chat.test/api");
  });

  test("is updated in the background", async () => {
    const platform = new FakePlatform({ clock: new FakeClock(0, settle) });
    platform.notes.set("phoenix.config", JSON.stringify(good));
    platform.answer = async () => answer(200, { ...good, api_base: "https://api.new" });
    const source = new ConfigSource(platform);
    expect((await source.get()).apiBase).toBe("https://chat.test/api");
    await settle();
    expect((await source.get()).apiBase).toBe("https://api.new/");
  });

  test("says where the chat may be used; without a list, it may be used everywhere", async () => {
    const platform = new FakePlatform({ clock: new FakeClock(0, settle) });
    const load = async (origins: unknown): Promise<string | null> => {
      platform.answer = async () => answer(200, { ...good, ...(origins === undefined ? {} : { origins }) });
      const loaded: Config[] = [];
      platform.notes.remove("phoenix.config");
      await new ConfigSource(platform, (config) => loaded.push(config)).get();
      const [config] = loaded;
      if (!config) throw new Error("nothing was loaded");
      return foreignTo(config, platform.page.origin);
    };
    expect(await load(undefined)).toBeNull();
    expect(await load(null)).toBeNull();
    expect(await load([])).toBeNull();
    expect(await load(["https://old.test", "https://chat.test"])).toBeNull();
    expect(await load(["https://chat.test:8443", "http://chat.test"])).toBe("https://chat.test:8443");
    await expect(load(["not an address"])).rejects.toThrow(ApiProblem);
    await expect(load("https://chat.test")).rejects.toThrow(ApiProblem);
  });

  test("is loaded again on request, at most once a minute", async () => {
    const clock = new FakeClock(0, settle);
    const platform = new FakePlatform({ clock });
    let loads = 0;
    platform.answer = async () => {
      loads++;
      return answer(200, good);
    };
    const source = new ConfigSource(platform);
    await source.get();
    for (let i = 0; i < 12; i++) {
      source.renew();
      await clock.advance(10_000);
    }
    expect(loads).toBe(2);
  });

  test.each([answer(200, "<html>"), answer(200, { api_base: 7 }), answer(503, "")])(
    "that is malformed is a problem",
    async (bad) => {
      const platform = new FakePlatform({ clock: new FakeClock(0, settle) });
      platform.notes.set("phoenix.config", "{broken");
      platform.answer = async () => bad;
      expect(await problem(new ConfigSource(platform).get())).toMatchObject({ code: "unavailable" });
    },
  );
});
