import { type Call, HttpApi } from "../../net/http";
import type { HttpAnswer } from "../../platform/platform";

/** The HTTP API over answers that a test makes up. */
export class FakeHttp extends HttpApi {
  readonly calls: Call[] = [];
  private readonly answerOf: (call: Call) => unknown;

  /** `answerOf` returns the content of an answer, or throws. */
  constructor(answerOf: (call: Call) => unknown) {
    super(undefined as never, undefined as never); // nothing but `answer` uses them
    this.answerOf = answerOf;
  }

  override async answer(call: Call): Promise<HttpAnswer> {
    this.calls.push(call);
    return { status: 200, header: () => null, body: JSON.stringify(this.answerOf(call)) };
  }
}
