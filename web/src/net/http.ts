/** Calls of the HTTP functions, with the bearer token, problem details, timeouts, and one retry with a fresh token. */
import { Fields, Malformed } from "../protocol/fields";
import { type HttpAnswer, type HttpRequest, NetworkError, type Platform } from "../platform/platform";
import { SignInEnded, type Token } from "./connection";
import { ApiProblem } from "./problem";

const TIMEOUT_MS = 20_000;

type Query = Readonly<Record<string, string | number | readonly string[] | null>>;

export interface Call {
  readonly method: HttpRequest["method"];
  /** Below the API's base, without a leading slash. */
  readonly path: string;
  /** A list is a parameter that is repeated. */
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent instead of a body. */
  readonly blob?: Blob;
  /** See {@link HttpRequest}. */
  readonly binary?: true;
  /** Sent without a token. */
  readonly open?: boolean;
  /** Sent with this token, and not repeated with another one. */
  readonly token?: string;
  /** Needs a claim in the token. After a 403, it is tried once more with a fresh token. */
  readonly claim?: boolean;
  /** For calls that take long. Default: 20 s. */
  readonly timeoutMs?: number;
}

export interface HttpApiOptions {
  /** Returns the base of all addresses, e.g. `https://chat.example/api`. Rejects with ApiProblem if it is not known. */
  base(): Promise<string>;
  /** See ConnectionOptions.token. */
  token(refused: string | null): Promise<Token>;
}

export class HttpApi {
  private readonly platform: Platform;
  private readonly options: HttpApiOptions;

  constructor(platform: Platform, options: HttpApiOptions) {
    this.platform = platform;
    this.options = options;
  }

  /** Returns the JSON of the answer, or undefined if it has no body. Rejects with ApiProblem or SignInEnded. */
  async json(call: Call): Promise<unknown> {
    const body = await this.text(call);
    if (body === "") return undefined;
    try {
      return JSON.parse(body) as unknown;
    } catch (err) {
      throw malformed(err);
    }
  }

  /** Reads an answer with `read`. A malformed answer is an ApiProblem too. */
  async read<T>(call: Call, read: (answer: unknown) => T): Promise<T> {
    const answer = await this.json(call);
    try {
      return read(answer);
    } catch (err) {
      if (err instanceof Malformed) throw malformed(err);
      throw err;
    }
  }

  /** Returns the body of the answer as text. */
  async text(call: Call): Promise<string> {
    return (await this.answer(call)).body;
  }

  async answer(call: Call): Promise<HttpAnswer> {
    const token = call.open === true ? null : (call.token ?? (await this.token(null)));
    try {
      return await this.attempt(call, token);
    } catch (err) {
      // The token of a user who has just become an admin does not contain the claim yet.
      const stale = err instanceof ApiProblem && (err.status === 401 || (err.status === 403 && call.claim === true));
      if (!stale || token === null || call.token !== undefined) throw err;
      try {
        return await this.attempt(call, await this.token(token));
      } catch (again) {
        // The server has ended this sign-in: another token of it does not help.
        if (again instanceof ApiProblem && again.status === 401 && ["token_ended", "signed_out"].includes(again.code))
          throw new SignInEnded("ended");
        throw again;
      }
    }
  }

  private async attempt(call: Call, token: string | null): Promise<HttpAnswer> {
    const base = await this.options.base();
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== null) headers["authorization"] = `Bearer ${token}`;
    const { blob } = call;
    if (call.body !== undefined || blob) headers["content-type"] = blob?.type ?? "application/json";
    let answer;
    try {
      answer = await this.platform.http.request({
        method: call.method,
        url: `${base.replace(/\/$/, "")}/${call.path}${queryOf(call.query ?? {})}`,
        headers,
        body: call.body === undefined ? null : JSON.stringify(call.body),
        ...(blob ? { blob } : {}),
        ...(call.binary ? { binary: true } : {}),
        timeoutMs: call.timeoutMs ?? TIMEOUT_MS,
      });
    } catch (err) {
      if (err instanceof NetworkError) throw new ApiProblem(0, "offline", "", { cause: err });
      throw err;
    }
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw problemOf(answer.status, answer.body, answer.header("retry-after"));
  }

  private async token(refused: string | null): Promise<string> {
    try {
      return (await this.options.token(refused)).value;
    } catch (err) {
      if (err instanceof SignInEnded || err instanceof ApiProblem) throw err;
      throw new ApiProblem(0, "offline", "", { cause: err });
    }
  }
}

function queryOf(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? (value as readonly string[]) : [value])
      if (one !== null && one !== "") params.append(name, String(one));
  const text = params.toString();
  return text === "" ? "" : `?${text}`;
}

function malformed(cause: unknown): ApiProblem {
  return new ApiProblem(502, "malformed", "", { cause });
}

/** Reads problem details (RFC 9457). An answer from something in between (a proxy's page) has only its status. */
function problemOf(status: number, body: string, retryAfter: string | null): ApiProblem {
  const seconds = Number(retryAfter ?? "");
  const headerMs = retryAfter !== null && Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
  try {
    const f = new Fields("problem", JSON.parse(body) as unknown);
    const fields: Record<string, string> = {};
    if (f.has("fields")) for (const [name] of f.object("fields").entries()) fields[name] = "";
    if (f.has("field_codes"))
      for (const [name, code] of f.object("field_codes").entries()) if (typeof code === "string") fields[name] = code;
    const retryAfterMs = f.optionalInteger("retry_after_ms") ?? headerMs;
    return new ApiProblem(status, f.text("code"), f.optionalText("detail"), { fields, retryAfterMs });
  } catch {
    return new ApiProblem(status, status >= 500 ? "unavailable" : "unexpected", "", { retryAfterMs: headerMs });
  }
}
