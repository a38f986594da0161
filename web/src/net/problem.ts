/** An answer of the HTTP functions that says that something did not work (RFC 9457), or that none came. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  /** Stable code; "offline" where no answer came, "malformed" where it could not be read. */
  readonly code: string;
  /** Form field → the server's sentence; empty where the code says it all. */
  readonly fields: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    code: string,
    /** The server's sentence; empty where this client found the problem, which has words for its own codes (text.problems). */
    message: string,
    more: { fields?: Readonly<Record<string, string>>; retryAfterMs?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.status = status;
    this.code = code;
    this.fields = more.fields ?? {};
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** The same request may succeed later without anybody's doing. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 401 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}
