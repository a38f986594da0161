/** An error answer of the HTTP functions (RFC 9457), or no answer. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  /** HTTP status. 0 if there was no answer. */
  readonly status: number;
  /** Stable code. "offline" if there was no answer, "malformed" if it could not be read. */
  readonly code: string;
  /** Form field → the code of its fault, which is empty if the code of the problem says everything. */
  readonly fields: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    code: string,
    /**
     * The server's sentence. Empty if this client found the problem: the view has texts for those codes
     * (text.problems).
     */
    message: string,
    more: { fields?: Readonly<Record<string, string>>; retryAfterMs?: number | null; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause });
    this.status = status;
    this.code = code;
    this.fields = more.fields ?? {};
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** Whether the same request may succeed later without any action. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 401 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}
