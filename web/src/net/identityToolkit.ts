/**
 * The calls of Firebase Auth that this client makes: the REST APIs Identity Toolkit and Secure Token. Firebase's own
 * library makes the same calls, but is a quarter of the JavaScript that a first visit loads. The calls of the forms are
 * in ./passwordForms.ts.
 */
import { Fields, Malformed, readEach } from "../protocol/fields";
import { type HttpRequest, NetworkError, type Platform } from "../platform/platform";
import type { IdentityConfig } from "./identity";
import { ApiProblem } from "./problem";

/** The tokens of a sign-in. */
export interface Tokens {
  readonly idToken: string;
  /** Gets new ID tokens, until the sign-in ends. */
  readonly refreshToken: string;
  /** When the ID token expires, in ms since the epoch by this device's clock, which may be wrong. */
  readonly endsAt: number;
}

export interface SignIn extends Tokens {
  readonly uid: string;
  readonly email: string;
}

/** The server refuses a call. */
export class Refused extends Error {
  override readonly name = "Refused";
  /** The server's code, such as INVALID_LOGIN_CREDENTIALS. */
  readonly code: string;

  constructor(code: string) {
    super(`the sign-in server refuses the call: ${code}`);
    this.code = code;
  }
}

/**
 * Code of the server → code of this client, and the form field that it is about. Any other code means that signing in
 * does not work right now.
 */
export type Problems = Readonly<Record<string, readonly [code: string, field?: string]>>;

const TIMEOUT_MS = 30_000;
/** The timeout while the browser reports that there is no network. */
const OFFLINE_TIMEOUT_MS = 5_000;

/** Methods reject with Refused or ApiProblem. */
export class IdentityToolkit {
  private readonly platform: Platform;
  private readonly config: () => Promise<IdentityConfig>;

  /** `config` rejects with ApiProblem if the configuration cannot be loaded now. */
  constructor(platform: Platform, config: () => Promise<IdentityConfig>) {
    this.platform = platform;
    this.config = config;
  }

  /** Returns new tokens of the sign-in that `refreshToken` belongs to. */
  async refresh(refreshToken: string): Promise<Tokens> {
    // A form needs no CORS preflight, which would be another round trip before the chat is connected.
    const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token: refreshToken }).toString();
    return await this.call("securetoken", "v1/token", "application/x-www-form-urlencoded", body, (f) =>
      this.tokens(f.text("id_token"), f.text("refresh_token"), f.text("expires_in")),
    );
  }

  /** Rejects with Refused if `idToken` has expired, or if its account or sign-in is not valid any more. */
  async confirm(idToken: string): Promise<void> {
    await this.account("lookup", { idToken }, () => undefined);
  }

  /** Returns tokens from the fields of an answer. Throws Malformed. */
  tokens(idToken: string, refreshToken: string, expiresIn: string): Tokens {
    const seconds = Number(expiresIn);
    if (!Number.isFinite(seconds)) throw new Malformed(`the lifetime of a token is ${expiresIn}`);
    return { idToken, refreshToken, endsAt: this.platform.clock.now() + seconds * 1000 };
  }

  /** Reads a list of objects from an answer. Malformed ones are left out. */
  objects<T>(answer: Fields, name: string, read: (entry: Fields) => T): T[] {
    return readEach(answer.optionalList(name), (entry) => read(new Fields(name, entry)));
  }

  /** Returns the server's code if an error is a refusal, else null. */
  codeOf(err: unknown): string | null {
    return err instanceof Refused ? err.code : null;
  }

  /** Converts a refusal to a problem. Returns other errors unchanged. */
  problemOf(err: unknown, problems: Problems): unknown {
    const code = this.codeOf(err);
    if (code === null) return err;
    const known = Object.hasOwn(problems, code) ? problems[code] : undefined;
    if (!known) return this.unavailable(err);
    const [ours, field] = known;
    return new ApiProblem(400, ours, "", { cause: err, ...(field === undefined ? {} : { fields: { [field]: "" } }) });
  }

  /** Returns the problem that the account needs a code of its authenticator app. */
  codeNeeded(): ApiProblem {
    return new ApiProblem(400, "code_needed", "");
  }

  /** Returns the problem that signing in does not work right now. */
  unavailable(cause?: unknown): ApiProblem {
    return new ApiProblem(503, "sign_in_unavailable", "", { cause });
  }

  /** Calls a method of Identity Toolkit. Those about second factors are in its version 2. */
  account<T>(method: string, request: unknown, read: (answer: Fields) => T): Promise<T> {
    const path = method.startsWith("mfa") ? `v2/accounts/${method}` : `v1/accounts:${method}`;
    return this.call("identitytoolkit", path, "application/json", JSON.stringify(request), read);
  }

  private async call<T>(
    api: "identitytoolkit" | "securetoken",
    path: string,
    type: string,
    body: string,
    read: (answer: Fields) => T,
  ): Promise<T> {
    const { apiKey, emulatorUrl } = await this.config();
    const base = emulatorUrl === null ? "https:/" : emulatorUrl.replace(/\/$/, "");
    const { status, fields } = await this.request({
      method: "POST",
      url: `${base}/${api}.googleapis.com/${path}?key=${encodeURIComponent(apiKey)}`,
      headers: { "content-type": type },
      body,
      timeoutMs: this.platform.page.online() ? TIMEOUT_MS : OFFLINE_TIMEOUT_MS,
      // The API key may be restricted to the origin of this page.
      referrer: true,
    });
    try {
      if (status >= 200 && status < 300) return read(fields);
      // "CODE : explanation"
      throw new Refused(fields.object("error").text("message").split(" : ")[0] ?? "");
    } catch (err) {
      if (err instanceof Malformed) throw this.unavailable(err);
      throw err;
    }
  }

  /** Rejects with ApiProblem if there is no answer, or one that something in between gives, such as a proxy's page. */
  private async request(request: HttpRequest): Promise<{ readonly status: number; readonly fields: Fields }> {
    try {
      const { status, body } = await this.platform.http.request(request);
      return { status, fields: new Fields("answer of the sign-in server", JSON.parse(body) as unknown) };
    } catch (err) {
      if (err instanceof NetworkError || err instanceof SyntaxError || err instanceof Malformed)
        throw new ApiProblem(0, "offline", "", { cause: err });
      throw err;
    }
  }
}
