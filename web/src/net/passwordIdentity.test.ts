import { describe, expect, test } from "vitest";
import { type HttpAnswer, type HttpRequest, NetworkError } from "../platform/platform";
import { FakeClock } from "../platform/testing/clock";
import { FakeBrowser, FakePlatform, settle } from "../platform/testing/fake";
import { SignInEnded } from "./connection";
import { PasswordIdentity } from "./passwordIdentity";
import { ApiProblem } from "./problem";

const HOUR_MS = 3_600_000;
const START_MS = 1_795_348_800_000;
const PASSWORD = "correct horse";

/** The answers about codes of other kinds than a reset. The code has the name of the kind. */
const OTHERS: Readonly<Record<string, object>> = {
  VERIFY_EMAIL: { email: "ann@example.org" },
  VERIFY_AND_CHANGE_EMAIL: { email: "ann@example.org", newEmail: "new@example.org" },
  RECOVER_EMAIL: { email: "ann@example.org", newEmail: "new@example.org" },
  EMAIL_SIGNIN: { email: "ann@example.org" },
};

const json = (status: number, body: unknown): HttpAnswer => ({
  status,
  header: () => null,
  body: typeof body === "string" ? body : JSON.stringify(body),
});
const refusal = (message: string): HttpAnswer => json(400, { error: { code: 400, message } });

/** A fake of Identity Toolkit and Secure Token with one account per email address. */
class FakeToolkit {
  readonly clock = new FakeClock(START_MS, settle);
  readonly browser = new FakeBrowser();
  readonly requests: { call: string; request: HttpRequest }[] = [];
  /** The codes of the authenticator app of every account, each of which works once. Null: there is none. */
  codes: Set<string> | null = null;
  /** uid → the code with which the server refuses tokens of the account. */
  readonly refused = new Map<string, string>();
  /** Answers a call before anything else does. Returns null for the usual answer. */
  before: (call: string) => Promise<HttpAnswer | null> = async () => null;
  private issued = 0;

  /** Opens a tab of the browser. */
  tab(config = { apiKey: "a key", emulatorUrl: null as string | null }): Tab {
    const platform = new FakePlatform({ clock: this.clock, browser: this.browser });
    platform.answer = async (request) => await this.answer(request);
    return { platform, identity: new PasswordIdentity(platform, async () => config) };
  }

  async signedIn(): Promise<Tab> {
    const tab = this.tab();
    await tab.identity.signIn("ann@example.org", PASSWORD);
    return tab;
  }

  calls(): string[] {
    return this.requests.map(({ call }) => call);
  }

  private async answer(request: HttpRequest): Promise<HttpAnswer> {
    const call = /\/(?:v1\/(?:accounts:)?|v2\/accounts\/)([\w:]+)\?/.exec(request.url)?.[1] ?? "";
    this.requests.push({ call, request });
    const special = await this.before(call);
    if (special) return special;
    if (call === "token") {
      const form = new URLSearchParams(request.body ?? "");
      const [uid = "", authTime = ""] = (form.get("refresh_token") ?? "").split(" ");
      const code = this.refused.get(uid);
      if (code !== undefined) return refusal(code);
      const tokens = this.tokens(uid, Number(authTime));
      return json(200, { id_token: tokens.idToken, refresh_token: tokens.refreshToken, expires_in: "3600" });
    }
    const body = JSON.parse(request.body ?? "") as Record<string, string>;
    if (call === "signInWithPassword") {
      if (body["password"] !== PASSWORD) return refusal("INVALID_LOGIN_CREDENTIALS");
      const uid = body["email"]?.split("@")[0] ?? "";
      const mfaInfo = [
        { mfaEnrollmentId: "phone", phoneInfo: "+41" },
        { mfaEnrollmentId: "app", totpInfo: {} },
      ];
      if (this.codes !== null) return json(200, { mfaPendingCredential: uid, mfaInfo });
      return json(200, { localId: uid, email: body["email"], ...this.tokens(uid, this.seconds()) });
    }
    if (call.startsWith("mfa")) return this.answerFactor(call, JSON.parse(request.body ?? "") as FactorRequest);
    if (call === "lookup") {
      const uid = uidOf(body["idToken"]);
      const code = this.refused.get(uid);
      return code === undefined ? json(200, { users: [{ localId: uid }] }) : refusal(code);
    }
    const type = body["oobCode"] ?? "";
    if (call === "resetPassword" && type in OTHERS) return json(200, { requestType: type, ...OTHERS[type] });
    return json(200, { email: "ann@example.org", requestType: "PASSWORD_RESET" });
  }

  private answerFactor(call: string, request: FactorRequest): HttpAnswer {
    if (call === "mfaEnrollment:start") {
      const totpSessionInfo = { sharedSecretKey: "SECRET", sessionInfo: `session of ${uidOf(request.idToken)}` };
      return json(200, { totpSessionInfo });
    }
    const uid = call === "mfaSignIn:finalize" ? request.mfaPendingCredential : uidOf(request.idToken);
    const { verificationCode, sessionInfo } = request.totpVerificationInfo ?? {};
    if (call === "mfaSignIn:finalize") {
      if (request.mfaEnrollmentId !== "app") return refusal("MFA_ENROLLMENT_NOT_FOUND");
      if (!this.codes?.delete(verificationCode ?? "")) return refusal("INVALID_CODE");
    } else {
      if (sessionInfo !== `session of ${uid}`) return refusal("INVALID_SESSION_INFO : It is of another account.");
      if (verificationCode !== "111111") return refusal("INVALID_CODE");
      this.codes = new Set(["222222"]);
    }
    const { idToken, refreshToken } = this.tokens(uid ?? "", this.seconds());
    return json(200, { idToken, refreshToken, totpAuthInfo: {} });
  }

  private seconds(): number {
    return Math.floor(this.clock.now() / 1000);
  }

  private tokens(uid: string, authTime: number): { idToken: string; refreshToken: string; expiresIn: string } {
    const iat = this.seconds();
    const claims = btoa(JSON.stringify({ sub: uid, auth_time: authTime, iat, exp: iat + 3600, n: ++this.issued }));
    return { idToken: `h.${claims}.s`, refreshToken: `${uid} ${authTime}`, expiresIn: "3600" };
  }
}

interface FactorRequest {
  readonly idToken?: string;
  readonly mfaPendingCredential?: string;
  readonly mfaEnrollmentId?: string;
  readonly totpVerificationInfo?: { readonly verificationCode?: string; readonly sessionInfo?: string };
}

function uidOf(idToken = ""): string {
  return (JSON.parse(atob(idToken.split(".")[1] ?? "")) as { readonly sub: string }).sub;
}

interface Tab {
  readonly platform: FakePlatform;
  readonly identity: PasswordIdentity;
}

/** Returns what a call rejects with, as a short text. */
async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (err) {
    if (err instanceof SignInEnded) return `ended: ${err.reason}`;
    if (err instanceof ApiProblem) return [err.code, ...Object.keys(err.fields)].join(" at ");
    throw err;
  }
  return "ok";
}

describe("a sign-in", () => {
  test("is one request, to the server or to its stand-in", async () => {
    const toolkit = new FakeToolkit();
    expect(await toolkit.tab().identity.signIn(" ann@example.org ", PASSWORD)).toEqual({
      uid: "ann",
      email: "ann@example.org",
    });
    await toolkit
      .tab({ apiKey: "local", emulatorUrl: "http://127.0.0.1:9099/" })
      .identity.signIn("bob@example.org", PASSWORD);
    expect(toolkit.requests.map(({ request }) => request)).toMatchObject([
      {
        method: "POST",
        url: "https://identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=a%20key",
        headers: { "content-type": "application/json" },
        referrer: true,
      },
      { url: "http://127.0.0.1:9099/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local" },
    ]);
  });

  test("is remembered by other tabs and by later pages, whose first token the server confirms once", async () => {
    const toolkit = new FakeToolkit();
    const first = await toolkit.signedIn();
    const token = await first.identity.token(null);
    expect(token.endsAt).toBe(START_MS + HOUR_MS);
    const second = toolkit.tab();
    expect(second.identity.remembered()).toEqual({ uid: "ann", email: "ann@example.org" });
    expect(await Promise.all([second.identity.token(null), second.identity.token(null)])).toEqual([token, token]);
    expect(await second.identity.token(null)).toEqual(token);
    expect(toolkit.calls()).toEqual(["signInWithPassword", "lookup"]);
  });

  test("lasts for the page if the browser stores no notes", async () => {
    const toolkit = new FakeToolkit();
    const { platform, identity } = toolkit.tab();
    Object.assign(platform.notes, { get: () => null, set: () => undefined });
    await identity.signIn("ann@example.org", PASSWORD);
    await toolkit.clock.advance(2 * HOUR_MS);
    expect((await identity.token(null)).endsAt).toBe(START_MS + 3 * HOUR_MS);
    expect(identity.remembered()?.uid).toBe("ann");
    identity.signOut();
    expect(await failure(identity.token(null))).toBe("ended: ended");
  });

  test("whose note is damaged is none", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    for (const note of ["{broken", "7", '{"uid":"ann"}']) {
      toolkit.browser.notes.set("phoenix.sign-in", note);
      expect(identity.remembered()).toBeNull();
    }
  });
});

describe("a token", () => {
  test("is replaced shortly before it expires, with one request for all callers, without a CORS preflight", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    const old = await identity.token(null);
    await toolkit.clock.advance(HOUR_MS - 30_000);
    expect(await identity.token(null)).toEqual(old);
    await toolkit.clock.advance(1);
    const [a, b] = await Promise.all([identity.token(null), identity.token(null)]);
    expect(a.value).not.toBe(old.value);
    expect(b).toEqual(a);
    expect(a.endsAt).toBe(toolkit.clock.now() + HOUR_MS);
    expect(toolkit.calls()).toEqual(["signInWithPassword", "token"]);
    expect(toolkit.requests[1]?.request).toMatchObject({
      url: "https://securetoken.googleapis.com/v1/token?key=a%20key",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
  });

  test("that one tab has replaced is replaced for all tabs", async () => {
    const toolkit = new FakeToolkit();
    const [first, second] = [await toolkit.signedIn(), toolkit.tab()];
    const old = await first.identity.token(null);
    expect(await second.identity.token(null)).toEqual(old);
    const next = await first.identity.token(old.value);
    expect(next.value).not.toBe(old.value);
    // The second tab wants another token than the one that it had, and there is one.
    expect(await second.identity.token(old.value)).toEqual(next);
    expect(toolkit.calls()).toEqual(["signInWithPassword", "lookup", "token"]);
    const third = await second.identity.token(next.value);
    expect(third.value).not.toBe(next.value);
    expect(await first.identity.token(null)).toEqual(third);
  });

  test.each([
    ["USER_DISABLED", "ended: disabled"],
    ["USER_NOT_FOUND", "ended: ended"],
    ["TOKEN_EXPIRED", "ended: ended"],
    ["INVALID_ID_TOKEN", "ended: ended"],
    ["INVALID_REFRESH_TOKEN", "ended: ended"],
    ["EMAIL_NOT_FOUND", "ended: deleted"],
  ])("that the server refuses with %s ends the sign-in in all tabs", async (code, reason) => {
    for (const refuse of [false, true]) {
      const toolkit = new FakeToolkit();
      const { value } = await (await toolkit.signedIn()).identity.token(null);
      toolkit.refused.set("ann", code);
      // A page that was loaded after the server ended the sign-in.
      const [tab, other] = [toolkit.tab(), toolkit.tab()];
      expect(await failure(tab.identity.token(refuse ? value : null))).toBe(reason);
      expect(other.identity.remembered()).toBeNull();
      expect(await failure(tab.identity.token(refuse ? value : null))).toBe("ended: ended");
    }
  });

  test("that has expired only by the server's clock is replaced", async () => {
    const toolkit = new FakeToolkit();
    await toolkit.signedIn();
    toolkit.before = async (call) => (call === "lookup" ? refusal("INVALID_ID_TOKEN") : null);
    const { identity } = toolkit.tab();
    await identity.token(null);
    expect(toolkit.calls()).toEqual(["signInWithPassword", "lookup", "token"]);
    expect(identity.remembered()?.uid).toBe("ann");
  });

  test.each([
    ["no network", async () => await Promise.reject(new NetworkError("none")), "offline"],
    ["the page of a proxy", async () => json(502, "<html>Bad gateway</html>"), "offline"],
    ["an answer of something else", async () => json(200, "null"), "offline"],
    ["a server that is down", async () => json(503, { error: { message: "UNAVAILABLE" } }), "sign_in_unavailable"],
    ["a limit", async () => refusal("QUOTA_EXCEEDED : Exceeded quota."), "sign_in_unavailable"],
    ["too many calls", async () => refusal("TOO_MANY_ATTEMPTS_TRY_LATER"), "too_many"],
    [
      "a refused API key",
      async () => refusal("API key not valid. Please pass a valid API key."),
      "sign_in_unavailable",
    ],
    ["a malformed answer", async () => json(200, { id_token: 7 }), "sign_in_unavailable"],
  ])("cannot be replaced because of %s, and the user stays signed in", async (_what, answer, code) => {
    const toolkit = new FakeToolkit();
    const old = await (await toolkit.signedIn()).identity.token(null);
    const { identity } = toolkit.tab();
    toolkit.before = answer;
    // The server could not confirm the sign-in, so it stays valid.
    expect(await identity.token(null)).toEqual(old);
    expect(await failure(identity.token(old.value))).toBe(code);
    expect(identity.remembered()?.uid).toBe("ann");
    toolkit.before = async () => null;
    expect((await identity.token(old.value)).value).not.toBe(old.value);
  });

  test("whose confirmation broke off is confirmed by the next call", async () => {
    const toolkit = new FakeToolkit();
    await toolkit.signedIn();
    toolkit.refused.set("ann", "USER_DISABLED");
    const { identity } = toolkit.tab();
    toolkit.before = async (call) => (call === "token" ? await Promise.reject(new NetworkError("none")) : null);
    expect(await failure(identity.token(null))).toBe("offline");
    toolkit.before = async () => null;
    expect(await failure(identity.token(null))).toBe("ended: disabled");
  });

  test("that arrives after a sign-out is dropped, and so is one for an account that was replaced", async () => {
    for (const next of ["nobody", "bob@example.org", "ann@example.org"]) {
      const toolkit = new FakeToolkit();
      const [first, second] = [await toolkit.signedIn(), toolkit.tab()];
      let release: () => void = () => undefined;
      toolkit.before = async (call) => {
        if (call === "token") await new Promise<void>((resolve) => (release = resolve));
        return null;
      };
      const { value } = await first.identity.token(null);
      const result = failure(first.identity.token(value));
      await settle();
      await toolkit.clock.advance(2_000);
      second.identity.signOut();
      if (next !== "nobody") await second.identity.signIn(next, PASSWORD);
      const after = toolkit.browser.notes.get("phoenix.sign-in");
      release();
      expect(await result).toBe(next.startsWith("ann") ? "ok" : "ended: ended");
      expect(toolkit.browser.notes.get("phoenix.sign-in")).toBe(after);
    }
  });

  test("waits less for an answer while there is no network", async () => {
    const toolkit = new FakeToolkit();
    const { platform, identity } = await toolkit.signedIn();
    const { value } = await identity.token(null);
    platform.setOnline(false);
    await identity.token(value);
    expect(toolkit.requests.map(({ request }) => request.timeoutMs)).toEqual([30_000, 5_000]);
  });
});

describe("a new sign-in of the same user", () => {
  test("replaces the stored one, for all tabs, and returns the token of the old one", async () => {
    const toolkit = new FakeToolkit();
    const [first, second] = [await toolkit.signedIn(), toolkit.tab()];
    const old = await first.identity.token(null);
    await toolkit.clock.advance(5_000);
    expect(await failure(first.identity.reauthenticate("wrong"))).toBe("wrong_password");
    expect(await first.identity.reauthenticate(PASSWORD)).toBe(old.value);
    const mine = await first.identity.token(null);
    expect(mine.value).not.toBe(old.value);
    expect(await second.identity.token(null)).toEqual(mine);
    // A caller whose old token was refused gets this one without another request, which the server could refuse.
    expect(await first.identity.token(old.value)).toEqual(mine);
  });

  test("within the same second cannot be told apart from the old one", async () => {
    const { identity } = await new FakeToolkit().signedIn();
    expect(await identity.reauthenticate(PASSWORD)).toBeNull();
  });

  test("signs out if the account has been disabled", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    toolkit.before = async () => refusal("USER_DISABLED");
    expect(await failure(identity.reauthenticate(PASSWORD))).toBe("account_disabled");
    expect(identity.remembered()).toBeNull();
  });

  test("is dropped if another tab has signed out meanwhile", async () => {
    const toolkit = new FakeToolkit();
    const [first, second] = [await toolkit.signedIn(), toolkit.tab()];
    toolkit.before = async () => {
      second.identity.signOut();
      return null;
    };
    expect(await failure(first.identity.reauthenticate(PASSWORD))).toBe("ended: ended");
    expect(second.identity.remembered()).toBeNull();
  });
});

describe("an account with an authenticator app", () => {
  const signIn = async (identity: PasswordIdentity, code?: string): Promise<string> =>
    await failure(identity.signIn("ann@example.org", PASSWORD, code));

  test("is signed in with the password and a code, which works once", async () => {
    const toolkit = new FakeToolkit();
    toolkit.codes = new Set(["123456"]);
    const { identity } = toolkit.tab();
    expect(await signIn(identity)).toBe("code_needed");
    expect(await signIn(identity, "")).toBe("code_needed");
    expect(await signIn(identity, "654321")).toBe("code_wrong");
    expect(identity.remembered()).toBeNull();
    expect(await identity.signIn("ann@example.org", PASSWORD, "123456")).toEqual({
      uid: "ann",
      email: "ann@example.org",
    });
    const { value, endsAt } = await identity.token(null);
    expect([uidOf(value), endsAt]).toEqual(["ann", START_MS + HOUR_MS]);
    expect(toolkit.requests.at(-1)?.request.url).toBe(
      "https://identitytoolkit.googleapis.com/v2/accounts/mfaSignIn:finalize?key=a%20key",
    );
    expect(await signIn(toolkit.tab().identity, "123456")).toBe("code_wrong");
    expect(await failure(identity.signIn("ann@example.org", "wrong", "123456"))).toBe("wrong_password");
  });

  test("whose only factor is of another kind cannot be signed in here", async () => {
    const toolkit = new FakeToolkit();
    toolkit.before = async () => json(200, { mfaPendingCredential: "x", mfaInfo: [{ mfaEnrollmentId: "phone" }] });
    expect(await signIn(toolkit.tab().identity, "123456")).toBe("sign_in_unavailable");
  });

  test("needs a code wherever it needs the password", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    toolkit.codes = new Set(["111111", "222222"]);
    await toolkit.clock.advance(5_000);
    expect(await failure(identity.reauthenticate(PASSWORD))).toBe("code_needed");
    expect(await failure(identity.reauthenticate(PASSWORD, "111111"))).toBe("ok");
    const mail = await identity.mail();
    expect(await failure(mail.sendChange("new@example.org", PASSWORD))).toBe("code_needed");
    expect(await failure(mail.sendChange("new@example.org", PASSWORD, "222222"))).toBe("ok");
  });

  test("gets it in two steps, of which the second is a new sign-in", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    const old = await identity.token(null);
    const calls = await identity.factors();
    const factor = await calls.start();
    expect(factor).toEqual({ secret: "SECRET", session: "session of ann" });
    await toolkit.clock.advance(20_000);
    expect(await failure(calls.finish(factor, "999999"))).toBe("code_wrong");
    expect(await failure(calls.finish({ ...factor, session: "session of eve" }, "111111"))).toBe("code_late");
    expect(await identity.token(null)).toEqual(old);
    expect(await calls.finish(factor, "111111")).toBe(old.value);
    expect((await identity.token(null)).value).not.toBe(old.value);
    // All tabs go on with it.
    expect(await toolkit.tab().identity.token(null)).toEqual(await identity.token(null));
  });

  test.each([
    ["UNVERIFIED_EMAIL : Verify it first.", "email_unverified"],
    ["SECOND_FACTOR_EXISTS", "factor_exists"],
    ["CREDENTIAL_TOO_OLD_LOGIN_AGAIN", "sign_in_again"],
    ["TOO_MANY_ATTEMPTS_TRY_LATER", "too_many"],
    ["OPERATION_NOT_ALLOWED", "sign_in_unavailable"],
  ])("cannot get it if the server answers %s", async (message, problem) => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    toolkit.before = async (call) => (call.startsWith("mfa") ? refusal(message) : null);
    expect(await failure((await identity.factors()).start())).toBe(problem);
  });
});

// The codes of Identity Toolkit and what the client shows for each (text.problems).
describe.each([
  ["INVALID_LOGIN_CREDENTIALS", "wrong_password"],
  ["INVALID_PASSWORD", "wrong_password"],
  ["INVALID_CREDENTIAL", "wrong_password"],
  ["MISSING_PASSWORD", "password_missing at password"],
  ["INVALID_EMAIL", "email_invalid at email"],
  ["INVALID_IDENTIFIER", "email_invalid at email"],
  ["MISSING_EMAIL", "email_invalid at email"],
  ["USER_DISABLED", "account_disabled"],
  ["TOO_MANY_ATTEMPTS_TRY_LATER : Access is disabled for a while.", "too_many"],
  ["RESET_PASSWORD_EXCEED_LIMIT", "too_many"],
  ["CREDENTIAL_TOO_OLD_LOGIN_AGAIN", "sign_in_again"],
  ["EMAIL_EXISTS", "email_taken at email"],
  ["INVALID_NEW_EMAIL", "email_invalid at email"],
  ["EXPIRED_OOB_CODE", "code_ended"],
  ["INVALID_OOB_CODE", "code_ended"],
  ["WEAK_PASSWORD : Password should be at least 6 characters", "password_weak at password"],
  ["PASSWORD_DOES_NOT_MEET_REQUIREMENTS : Missing password requirements", "password_weak at password"],
  ["OPERATION_NOT_ALLOWED", "sign_in_unavailable"],
  ["PASSWORD_LOGIN_DISABLED", "sign_in_unavailable"],
  ["QUOTA_EXCEEDED : Exceeded quota", "sign_in_unavailable"],
  ["API key not valid. Please pass a valid API key.", "sign_in_unavailable"],
  ["USER_NOT_FOUND", "sign_in_unavailable"],
  ["toString", "sign_in_unavailable"],
])("the refusal %s", (code, problem) => {
  test(`is the problem ${problem}`, async () => {
    const toolkit = new FakeToolkit();
    const { identity } = toolkit.tab();
    toolkit.before = async () => refusal(code);
    expect(await failure(identity.signIn("ann@example.org", PASSWORD))).toBe(problem);
    const mail = await identity.mail();
    expect(await failure(mail.sendReset("ann@example.org"))).toBe(problem);
    expect(await failure(mail.confirmReset("code", PASSWORD))).toBe(problem);
    expect(await failure(mail.read("code"))).toBe(problem);
    expect(await failure(mail.apply("code"))).toBe(problem);
    expect(identity.remembered()).toBeNull();
  });
});

/** Returns the requests after a sign-in, each with its content. */
function sent(toolkit: FakeToolkit): unknown[] {
  return toolkit.requests
    .filter(({ call }) => call !== "signInWithPassword")
    .map(({ call, request }) => [call, JSON.parse(request.body ?? "") as unknown]);
}

describe("a password reset", () => {
  test("does not reveal whether the address has an account", async () => {
    const toolkit = new FakeToolkit();
    const mail = await toolkit.tab().identity.mail();
    await mail.sendReset(" ann@example.org ");
    toolkit.before = async () => refusal("EMAIL_NOT_FOUND");
    await mail.sendReset("nobody@example.org");
    expect(sent(toolkit)).toMatchObject([
      ["sendOobCode", { requestType: "PASSWORD_RESET", email: "ann@example.org" }],
      ["sendOobCode", { requestType: "PASSWORD_RESET", email: "nobody@example.org" }],
    ]);
  });

  test("checks the code, sets the password, and returns the address", async () => {
    const toolkit = new FakeToolkit();
    const mail = await toolkit.tab().identity.mail();
    expect(await mail.confirmReset("c0de", "colder ashes")).toBe("ann@example.org");
    expect(sent(toolkit)).toEqual([
      ["resetPassword", { oobCode: "c0de" }],
      ["resetPassword", { oobCode: "c0de", newPassword: "colder ashes" }],
    ]);
  });
});

describe("the email that verifies an address", () => {
  test("is sent for the account that is signed in", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    await (await identity.mail()).sendVerification();
    const { value } = await identity.token(null);
    expect(sent(toolkit)).toMatchObject([["sendOobCode", { requestType: "VERIFY_EMAIL", idToken: value }]]);
  });

  test("is not sent for somebody who is signed out, or too often", async () => {
    const toolkit = new FakeToolkit();
    expect(await failure((await toolkit.tab().identity.mail()).sendVerification())).toBe("ended: ended");
    expect(toolkit.requests).toEqual([]);
    const mail = await (await toolkit.signedIn()).identity.mail();
    toolkit.before = async () => refusal("TOO_MANY_ATTEMPTS_TRY_LATER");
    expect(await failure(mail.sendVerification())).toBe("too_many");
  });
});

describe("another address", () => {
  test("needs the password, and leaves the sign-in of this device as it is", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    const mail = await identity.mail();
    const before = toolkit.browser.notes.get("phoenix.sign-in");
    expect(await failure(mail.sendChange("new@example.org", "wrong"))).toBe("wrong_password");
    expect(sent(toolkit)).toEqual([]);
    await mail.sendChange(" new@example.org ", PASSWORD);
    expect(sent(toolkit)).toMatchObject([
      ["sendOobCode", { requestType: "VERIFY_AND_CHANGE_EMAIL", newEmail: "new@example.org" }],
    ]);
    expect(toolkit.requests.at(-1)?.request.body).not.toContain((await identity.token(null)).value);
    expect(toolkit.browser.notes.get("phoenix.sign-in")).toBe(before);
  });

  test("is not asked for with the sign-in of another account", async () => {
    const toolkit = new FakeToolkit();
    const { identity } = await toolkit.signedIn();
    toolkit.before = async (call) =>
      call === "signInWithPassword"
        ? json(200, { localId: "eve", idToken: "h.e.s", refreshToken: "r", expiresIn: "3600" })
        : null;
    expect(await failure((await identity.mail()).sendChange("new@example.org", PASSWORD))).toBe("sign_in_unavailable");
    expect(sent(toolkit)).toEqual([]);
  });
});

describe("the code of a link", () => {
  test.each([
    ["VERIFY_EMAIL", { kind: "verify", email: "ann@example.org", before: "" }],
    ["VERIFY_AND_CHANGE_EMAIL", { kind: "change", email: "new@example.org", before: "ann@example.org" }],
    ["RECOVER_EMAIL", { kind: "recover", email: "ann@example.org", before: "new@example.org" }],
    ["c0de", { kind: "reset", email: "ann@example.org", before: "" }],
  ])("%s is read without a sign-in, and stays valid until it is applied", async (code, read) => {
    const toolkit = new FakeToolkit();
    const mail = await toolkit.tab().identity.mail();
    expect(await mail.read(code)).toEqual(read);
    await mail.apply(code);
    expect(sent(toolkit)).toEqual([
      ["resetPassword", { oobCode: code }],
      ["update", { oobCode: code }],
    ]);
  });

  test("of a kind that this client does not handle is a problem", async () => {
    const mail = await new FakeToolkit().tab().identity.mail();
    expect(await failure(mail.read("EMAIL_SIGNIN"))).toBe("sign_in_unavailable");
  });
});
