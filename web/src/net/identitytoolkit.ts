/**
 * {@link Identity} on Firebase Auth's public HTTP interface (Identity Toolkit and the token service; documented as the
 * "Firebase Auth REST API"). Google's own browser library does the same calls in 27 kB gzipped, more than a quarter of
 * all that this client may load at first, most of it for ways of signing in that this chat does not have.
 *
 * The sign-in is kept in this browser's notes, so that all tabs share it; where the browser denies them it lives as long as the page.
 */
import { Fields, Malformed } from "../protocol/fields";
import { NetworkError, type HttpAnswer, type Platform } from "../platform/platform";
import { SignInEnded, type Token } from "./connection";
import type { Identity, IdentityConfig, SignedIn } from "./identity";
import { ApiProblem } from "./problem";

const NOTE = "phoenix.sign-in";
const TIMEOUT_MS = 20_000;
/** A token that ends sooner is replaced before it is used. */
const SPARE_MS = 30_000;
/** A token that seems to last longer was kept by a clock that has since been set back. */
const LONGEST_MS = 65 * 60_000;

/** A sign-in as it is kept. */
interface Kept {
  readonly uid: string;
  readonly email: string;
  /** Good for tokens until the sign-in is taken back. */
  readonly refreshToken: string;
  readonly idToken: string;
  /** When `idToken` ends, in ms by this device's clock, right or wrong: counted from the moment it came. */
  readonly endsAt: number;
}

export class IdentityToolkit implements Identity {
  private readonly platform: Platform;
  private readonly config: IdentityConfig;
  /** Only where the notes are denied. */
  private held: Kept | null = null;
  private refreshing: { readonly of: string; readonly kept: Promise<Kept> } | null = null;

  constructor(platform: Platform, config: IdentityConfig) {
    this.platform = platform;
    this.config = config;
  }

  async remembered(): Promise<SignedIn | null> {
    const kept = this.kept();
    return kept && { uid: kept.uid, email: kept.email };
  }

  async signIn(email: string, password: string): Promise<SignedIn> {
    const kept = await this.withPassword(email.trim(), password);
    this.keep(kept);
    return { uid: kept.uid, email: kept.email };
  }

  async signOut(): Promise<void> {
    this.held = null;
    this.platform.notes.remove(NOTE);
  }

  async reauthenticate(password: string): Promise<void> {
    const known = this.kept();
    if (!known) throw new SignInEnded("ended");
    const kept = await this.withPassword(known.email, password);
    // The address may have changed hands; the password of another account proves nothing about this one.
    if (kept.uid !== known.uid) throw new ApiProblem(400, "wrong_password", "");
    if (this.kept()?.uid === kept.uid) this.keep(kept);
  }

  async token(fresh: boolean): Promise<Token> {
    const kept = this.kept();
    if (!kept) throw new SignInEnded("ended");
    const left = kept.endsAt - this.platform.clock.now();
    const { idToken, endsAt } = !fresh && left > SPARE_MS && left <= LONGEST_MS ? kept : await this.refresh(kept);
    return { value: idToken, endsAt };
  }

  async sendReset(email: string): Promise<void> {
    try {
      await this.accounts("sendOobCode", { requestType: "PASSWORD_RESET", email: email.trim() });
    } catch (err) {
      // Whether there is such an account is nobody's business.
      if (!(err instanceof ApiProblem && err.code === "wrong_password")) throw err;
    }
  }

  async confirmReset(code: string, password: string): Promise<string> {
    // Without a password the code is only checked: one that has ended says so before the new password is judged.
    const checked = await this.accounts("resetPassword", { oobCode: code });
    await this.accounts("resetPassword", { oobCode: code, newPassword: password });
    return read("reset", checked).optionalText("email");
  }

  // --- tokens ---

  private async withPassword(email: string, password: string): Promise<Kept> {
    const answer = await this.accounts("signInWithPassword", { email, password, returnSecureToken: true });
    return readAnswer(() => {
      const f = read("sign-in", answer);
      return {
        uid: f.text("localId"),
        email: f.optionalText("email", email),
        refreshToken: f.text("refreshToken"),
        idToken: f.text("idToken"),
        endsAt: this.endOf(f.text("expiresIn")),
      };
    });
  }

  /** One at a time for a sign-in: many calls find at once that their token has ended. */
  private refresh(kept: Kept): Promise<Kept> {
    if (this.refreshing?.of !== kept.refreshToken) {
      const running = { of: kept.refreshToken, kept: this.fetchToken(kept) };
      this.refreshing = running;
      const done = (): void => {
        if (this.refreshing === running) this.refreshing = null;
      };
      running.kept.then(done, done);
    }
    return this.refreshing.kept;
  }

  private async fetchToken(kept: Kept): Promise<Kept> {
    const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: kept.refreshToken });
    let answer: unknown;
    try {
      answer = await this.post("securetoken", "token", "application/x-www-form-urlencoded", form.toString());
    } catch (err) {
      throw endOf(err) ?? err;
    }
    const next = readAnswer(() => {
      const f = read("token", answer);
      return {
        ...kept,
        refreshToken: f.text("refresh_token"),
        idToken: f.text("id_token"),
        endsAt: this.endOf(f.text("expires_in")),
      };
    });
    // Signed out, or somebody else signed in, while the answer was on its way.
    const now = this.kept();
    if (now?.uid !== kept.uid) throw new SignInEnded("ended");
    // A tab that proved the password meanwhile has a newer sign-in.
    if (now.refreshToken === kept.refreshToken) this.keep(next);
    return next;
  }

  /** When a token ends that lasts `seconds` from now. */
  private endOf(seconds: string): number {
    const life = Number(seconds);
    if (!(life > 0)) throw new Malformed("a token without an end");
    return this.platform.clock.now() + life * 1000;
  }

  // --- what is kept ---

  private kept(): Kept | null {
    const text = this.platform.notes.get(NOTE);
    if (text === null) return this.held;
    try {
      const f = new Fields("sign-in", JSON.parse(text) as unknown);
      return {
        uid: f.text("uid"),
        email: f.textOrEmpty("email"),
        refreshToken: f.text("refreshToken"),
        idToken: f.text("idToken"),
        endsAt: f.number("endsAt"),
      };
    } catch (err) {
      if (err instanceof Malformed || err instanceof SyntaxError) return null;
      throw err;
    }
  }

  private keep(kept: Kept): void {
    const text = JSON.stringify(kept);
    this.platform.notes.set(NOTE, text);
    this.held = this.platform.notes.get(NOTE) === text ? null : kept;
  }

  // --- calls ---

  private accounts(method: string, body: object): Promise<unknown> {
    return this.post("identitytoolkit", `accounts:${method}`, "application/json", JSON.stringify(body));
  }

  /** The answer's JSON. Rejects with ApiProblem. */
  private async post(service: "identitytoolkit" | "securetoken", path: string, type: string, body: string): Promise<unknown> {
    const host = `${service}.googleapis.com`;
    const { emulatorUrl, apiKey } = this.config;
    const base = emulatorUrl === null ? `https://${host}` : `${emulatorUrl.replace(/\/$/, "")}/${host}`;
    let answer: HttpAnswer;
    try {
      answer = await this.platform.http.request({
        method: "POST",
        url: `${base}/v1/${path}?key=${encodeURIComponent(apiKey)}`,
        headers: { "content-type": type },
        body,
        timeoutMs: TIMEOUT_MS,
      });
    } catch (err) {
      if (err instanceof NetworkError) throw new ApiProblem(0, "offline", "", { cause: err });
      throw err;
    }
    let value: unknown = null;
    try {
      value = JSON.parse(answer.body) as unknown;
    } catch {
      // A page of something in between: judged below by what it is not.
    }
    if (answer.status >= 200 && answer.status < 300) return value;
    throw problemOf(value);
  }
}

function read(what: string, value: unknown): Fields {
  return new Fields(what, value);
}

/** Reads an answer; one that is not in the promised form means that signing in does not work. */
function readAnswer<T>(run: () => T): T {
  try {
    return run();
  } catch (err) {
    if (err instanceof Malformed) throw unavailable(err);
    throw err;
  }
}

function unavailable(cause: unknown): ApiProblem {
  return new ApiProblem(503, "sign_in_unavailable", "", { cause });
}

/** The service's own code, the first word of its message: "TOKEN_EXPIRED", or "WEAK_PASSWORD : Password should be …". */
function serviceCode(value: unknown): string {
  try {
    const message = read("answer", value).object("error").text("message");
    return /^[A-Z_]+/.exec(message)?.[0] ?? "";
  } catch (err) {
    if (err instanceof Malformed) return "";
    throw err;
  }
}

/** Service code → our code and the form field that it is about. What is not here means that signing in does not work right now. */
const PROBLEMS: Readonly<Record<string, readonly [code: string, field?: string]>> = {
  INVALID_LOGIN_CREDENTIALS: ["wrong_password"],
  INVALID_PASSWORD: ["wrong_password"],
  EMAIL_NOT_FOUND: ["wrong_password"],
  MISSING_PASSWORD: ["password_missing", "password"],
  INVALID_EMAIL: ["email_invalid", "email"],
  MISSING_EMAIL: ["email_invalid", "email"],
  USER_DISABLED: ["account_disabled"],
  TOO_MANY_ATTEMPTS_TRY_LATER: ["too_many"],
  RESET_PASSWORD_EXCEED_LIMIT: ["too_many"],
  QUOTA_EXCEEDED: ["too_many"],
  EXPIRED_OOB_CODE: ["code_ended"],
  INVALID_OOB_CODE: ["code_ended"],
  MISSING_OOB_CODE: ["code_ended"],
  WEAK_PASSWORD: ["password_weak", "password"],
  PASSWORD_DOES_NOT_MEET_REQUIREMENTS: ["password_weak", "password"],
};

/** Codes of the token service after which no token comes any more. */
const ENDED: ReadonlySet<string> = new Set(["TOKEN_EXPIRED", "USER_NOT_FOUND", "INVALID_REFRESH_TOKEN", "MISSING_REFRESH_TOKEN", "INVALID_ID_TOKEN"]);

/** What the service said, kept as the cause of the problem that people are told. */
class ServiceError extends Error {
  override readonly name = "ServiceError";
}

function problemOf(value: unknown): ApiProblem {
  const said = serviceCode(value);
  const cause = new ServiceError(said);
  const known = Object.hasOwn(PROBLEMS, said) ? PROBLEMS[said] : undefined;
  if (!known) return unavailable(cause);
  const [code, field] = known;
  return new ApiProblem(400, code, "", { cause, ...(field === undefined ? {} : { fields: { [field]: "" } }) });
}

/** The end of a sign-in, where `err` says so. */
function endOf(err: unknown): SignInEnded | null {
  if (!(err instanceof ApiProblem && err.cause instanceof ServiceError)) return null;
  if (err.cause.message === "USER_DISABLED") return new SignInEnded("disabled");
  return ENDED.has(err.cause.message) ? new SignInEnded("ended") : null;
}
