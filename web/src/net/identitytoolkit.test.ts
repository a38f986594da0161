import { describe, expect, test } from "vitest";
import { FakeClock } from "../platform/testing/clock";
import { FakeBrowser, FakePlatform, settle } from "../platform/testing/fake";
import { type HttpAnswer, type HttpRequest, NetworkError } from "../platform/platform";
import { SignInEnded } from "./connection";
import type { IdentityConfig } from "./identity";
import { IdentityToolkit } from "./identitytoolkit";
import { ApiProblem } from "./problem";

const CONFIG: IdentityConfig = { apiKey: "a key", projectId: "p", authDomain: "", emulatorUrl: null };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const answer = (status: number, body: unknown): HttpAnswer => ({ status, header: () => null, body: typeof body === "string" ? body : JSON.stringify(body) });
const refusal = (message: string): HttpAnswer => answer(400, { error: { code: 400, message } });
const entered = (uid = "u1"): HttpAnswer => answer(200, { localId: uid, email: `${uid}@example.org`, idToken: `${uid} first`, refreshToken: `${uid} lasting`, expiresIn: "3600" });
const renewed = (n: number, uid = "u1"): HttpAnswer => answer(200, { id_token: `${uid} ${n}`, refresh_token: `${uid} lasting ${n}`, expires_in: "3600", user_id: uid });

interface Bench {
  clock: FakeClock;
  browser: FakeBrowser;
  platform: FakePlatform;
  seen: HttpRequest[];
  answers: (HttpAnswer | Error | (() => Promise<HttpAnswer>))[];
  identity: IdentityToolkit;
}

function bench(config: IdentityConfig = CONFIG, browser = new FakeBrowser(), clock = new FakeClock(1_000_000_000_000, settle)): Bench {
  const platform = new FakePlatform({ clock, browser });
  const seen: HttpRequest[] = [];
  const answers: Bench["answers"] = [];
  platform.answer = async (request) => {
    seen.push(request);
    const next = answers.shift();
    if (next === undefined) throw new Error(`nothing to answer ${request.url} with`);
    if (next instanceof Error) throw next;
    return typeof next === "function" ? await next() : next;
  };
  return { clock, browser, platform, seen, answers, identity: new IdentityToolkit(platform, config) };
}

async function signedIn(b: Bench, uid = "u1"): Promise<void> {
  b.answers.push(entered(uid));
  await b.identity.signIn(`${uid}@example.org`, "correct horse");
}

async function fault(work: Promise<unknown>): Promise<ApiProblem> {
  const err: unknown = await work.then(() => null, (e: unknown) => e);
  if (err instanceof ApiProblem) return err;
  throw new Error(`no ApiProblem: ${String(err)}`);
}

async function end(work: Promise<unknown>): Promise<string> {
  const err: unknown = await work.then(() => null, (e: unknown) => e);
  if (err instanceof SignInEnded) return err.reason;
  throw new Error(`no SignInEnded: ${String(err)}`);
}

describe("signing in", () => {
  test("asks the identity service, and is remembered by all tabs of the browser and after a restart", async () => {
    const b = bench();
    b.answers.push(entered());
    expect(await b.identity.signIn(" u1@example.org ", "correct horse")).toEqual({ uid: "u1", email: "u1@example.org" });
    expect(b.seen[0]).toMatchObject({ method: "POST", url: "https://identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=a%20key" });
    expect(JSON.parse(b.seen[0]?.body ?? "")).toEqual({ email: "u1@example.org", password: "correct horse", returnSecureToken: true });
    const other = bench(CONFIG, b.browser, b.clock);
    expect(await other.identity.remembered()).toEqual({ uid: "u1", email: "u1@example.org" });
    expect((await other.identity.token(false)).value).toBe("u1 first");
    expect(other.seen).toEqual([]);
    await other.identity.signOut();
    expect(await b.identity.remembered()).toBeNull();
    expect(await end(b.identity.token(false))).toBe("ended");
    expect([...b.browser.notes]).toEqual([]);
  });

  test("goes to the emulator where there is one", async () => {
    const b = bench({ ...CONFIG, emulatorUrl: "http://127.0.0.1:9/" });
    await signedIn(b);
    b.answers.push(renewed(2));
    await b.identity.token(true);
    expect(b.seen.map((r) => r.url)).toEqual([
      "http://127.0.0.1:9/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=a%20key",
      "http://127.0.0.1:9/securetoken.googleapis.com/v1/token?key=a%20key",
    ]);
  });

  test("lives as long as the page where the browser denies notes", async () => {
    const b = bench();
    Object.assign(b.platform.notes, { get: () => null, set: () => undefined });
    await signedIn(b);
    expect((await b.identity.token(false)).value).toBe("u1 first");
    await b.identity.signOut();
    expect(await b.identity.remembered()).toBeNull();
  });

  test.each([
    ["INVALID_LOGIN_CREDENTIALS", "wrong_password", []],
    ["EMAIL_NOT_FOUND", "wrong_password", []],
    ["INVALID_EMAIL", "email_invalid", ["email"]],
    ["USER_DISABLED", "account_disabled", []],
    ["TOO_MANY_ATTEMPTS_TRY_LATER : Access was disabled for a while.", "too_many", []],
    ["OPERATION_NOT_ALLOWED", "sign_in_unavailable", []],
    ["constructor", "sign_in_unavailable", []],
  ])("%s is told as %s", async (message, code, fields) => {
    const b = bench();
    b.answers.push(refusal(message));
    const problem = await fault(b.identity.signIn("a@b.c", "x"));
    expect([problem.code, Object.keys(problem.fields)]).toEqual([code, fields]);
    expect(await b.identity.remembered()).toBeNull();
  });

  test("without a network, or with nonsense for an answer, says so and keeps nothing", async () => {
    const b = bench();
    b.answers.push(new NetworkError("no"), answer(502, "<html>"), answer(200, "<html>"), answer(200, { localId: "u1" }), answer(200, { ...JSON.parse(entered().body), expiresIn: "soon" }));
    const codes: string[] = [];
    for (let i = 0; i < 5; i++) codes.push((await fault(b.identity.signIn("a@b.c", "x"))).code);
    expect(codes).toEqual(["offline", "sign_in_unavailable", "sign_in_unavailable", "sign_in_unavailable", "sign_in_unavailable"]);
    expect([...b.browser.notes]).toEqual([]);
  });

  test("what another program left in the note is nobody's sign-in", async () => {
    const b = bench();
    for (const note of ["", "null", "[]", "{}", '{"uid":"u1","email":"","refreshToken":5,"idToken":"x","endsAt":1}', "{"]) {
      b.browser.notes.set("phoenix.sign-in", note);
      expect(await b.identity.remembered()).toBeNull();
    }
  });
});

describe("tokens", () => {
  test("are kept for their hour and renewed before it ends; each renewal keeps the newest refresh token", async () => {
    const b = bench();
    await signedIn(b);
    const start = b.clock.now();
    expect(await b.identity.token(false)).toEqual({ value: "u1 first", endsAt: start + HOUR });
    await b.clock.advance(HOUR - 20_000);
    b.answers.push(renewed(2), renewed(3));
    expect(await b.identity.token(false)).toEqual({ value: "u1 2", endsAt: b.clock.now() + HOUR });
    expect(b.seen[1]).toMatchObject({ headers: { "content-type": "application/x-www-form-urlencoded" }, body: "grant_type=refresh_token&refresh_token=u1+lasting" });
    expect((await b.identity.token(false)).value).toBe("u1 2");
    expect((await b.identity.token(true)).value).toBe("u1 3");
    expect(b.seen[2]?.body).toContain("u1+lasting+2");
  });

  test("many who need one at once ask once", async () => {
    const b = bench();
    await signedIn(b);
    b.answers.push(renewed(2), renewed(3));
    const got = await Promise.all(Array.from({ length: 5 }, () => b.identity.token(true)));
    expect(new Set(got.map((t) => t.value))).toEqual(new Set(["u1 2"]));
    expect((await b.identity.token(true)).value).toBe("u1 3");
  });

  test("a clock that is wrong by a day, or set back by one, costs a renewal and nothing else", async () => {
    const b = bench();
    b.platform.skew = DAY;
    await signedIn(b);
    // The hour counts from when the token came, by whatever clock.
    expect((await b.identity.token(false)).endsAt).toBe(b.clock.now() + DAY + HOUR);
    b.platform.skew = 0;
    b.answers.push(renewed(2));
    expect(await b.identity.token(false)).toEqual({ value: "u1 2", endsAt: b.clock.now() + HOUR });
    b.platform.skew = DAY;
    b.answers.push(renewed(3));
    expect((await b.identity.token(false)).value).toBe("u1 3");
  });

  test.each([
    ["TOKEN_EXPIRED", "ended"],
    ["USER_NOT_FOUND", "ended"],
    ["INVALID_REFRESH_TOKEN", "ended"],
    ["USER_DISABLED", "disabled"],
  ])("%s ends the sign-in: %s", async (message, reason) => {
    const b = bench();
    await signedIn(b);
    b.answers.push(refusal(message));
    expect(await end(b.identity.token(true))).toBe(reason);
  });

  test("a network or a service that fails ends nothing", async () => {
    const b = bench();
    await signedIn(b);
    b.answers.push(new NetworkError("no"), answer(503, ""), answer(200, {}), renewed(2));
    expect((await fault(b.identity.token(true))).code).toBe("offline");
    expect((await fault(b.identity.token(true))).code).toBe("sign_in_unavailable");
    expect((await fault(b.identity.token(true))).code).toBe("sign_in_unavailable");
    expect((await b.identity.token(true)).value).toBe("u1 2");
  });

  test("one that comes after a sign-out, or after somebody else came, is nobody's", async () => {
    for (const next of [null, "u2"]) {
      const b = bench();
      await signedIn(b);
      let arrive: (a: HttpAnswer) => void = () => undefined;
      b.answers.push(() => new Promise((resolve) => (arrive = resolve)));
      const waiting = end(b.identity.token(true));
      await settle();
      const other = bench(CONFIG, b.browser, b.clock);
      await other.identity.signOut();
      if (next !== null) await signedIn(other, next);
      arrive(renewed(2));
      expect(await waiting).toBe("ended");
      expect((await other.identity.remembered())?.uid ?? null).toBe(next);
      expect(JSON.stringify([...b.browser.notes])).not.toContain("u1");
    }
  });
});

describe("the password", () => {
  test("is proved anew for the account that is signed in, and no other", async () => {
    const b = bench();
    await signedIn(b);
    b.answers.push(entered("u2"));
    expect((await fault(b.identity.reauthenticate("x"))).code).toBe("wrong_password");
    b.answers.push(answer(200, { ...JSON.parse(entered().body), refreshToken: "proved" }), renewed(2));
    await b.identity.reauthenticate("correct horse");
    await b.identity.token(true);
    expect(b.seen[b.seen.length - 1]?.body).toContain("refresh_token=proved");
  });

  test("a letter is said to be sent for unknown addresses too", async () => {
    const b = bench();
    b.answers.push(answer(200, { email: "a@b.c" }), refusal("EMAIL_NOT_FOUND"), refusal("INVALID_EMAIL"), new NetworkError("no"));
    await b.identity.sendReset(" a@b.c ");
    expect(JSON.parse(b.seen[0]?.body ?? "")).toEqual({ requestType: "PASSWORD_RESET", email: "a@b.c" });
    await b.identity.sendReset("nobody@b.c");
    expect((await fault(b.identity.sendReset("a"))).code).toBe("email_invalid");
    expect((await fault(b.identity.sendReset("a@b.c"))).code).toBe("offline");
  });

  test("a code is checked, then spent; one that has ended says so", async () => {
    const b = bench();
    b.answers.push(answer(200, { email: "a@b.c" }), answer(200, { email: "a@b.c" }), refusal("EXPIRED_OOB_CODE"), answer(200, { email: "a@b.c" }), refusal("WEAK_PASSWORD : Password should be at least 6 characters"));
    expect(await b.identity.confirmReset("code", "correct horse")).toBe("a@b.c");
    expect(b.seen.map((r) => JSON.parse(r.body ?? "") as unknown)).toEqual([{ oobCode: "code" }, { oobCode: "code", newPassword: "correct horse" }]);
    expect((await fault(b.identity.confirmReset("old", "x"))).code).toBe("code_ended");
    expect(await fault(b.identity.confirmReset("code", "x"))).toMatchObject({ code: "password_weak", fields: { password: "" } });
  });
});
