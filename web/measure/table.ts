/** A reporter that prints the recorded figures as one table, in order. */
import type { FullResult, Reporter, TestCase, TestResult } from "@playwright/test/reporter";
import { FIGURE } from "./figures";

export default class Table implements Reporter {
  readonly #rows: [string, string][] = [];
  #failed = 0;

  onTestBegin(test: TestCase): void {
    console.error(`measuring ${test.title}`);
  }

  onTestEnd(test: TestCase, result: TestResult): void {
    for (const { type, description = "" } of result.annotations) {
      const [name, value] = description.split("\t");
      if (type !== FIGURE) continue;
      this.#rows.push([name ?? "", value ?? ""]);
      console.error(`  ${name}: ${value}`); // now, because the run may take minutes and be interrupted
    }
    if (result.status === "passed" || result.status === "skipped") return;
    this.#failed++;
    console.error(`${test.title}: ${result.errors.map((e) => e.message ?? "").join("\n")}`);
  }

  onError({ message }: { message?: string }): void {
    console.error(message);
  }

  onEnd(result: FullResult): void {
    console.log(
      `| figure | measured |\n|---|---|\n${this.#rows.map(([name, value]) => `| ${name} | ${value} |`).join("\n")}`,
    );
    console.log(
      `\n${(result.duration / 1000).toFixed(0)} s${this.#failed > 0 ? `, ${this.#failed} could not be measured` : ""}`,
    );
  }

  printsToStdio(): boolean {
    return true;
  }
}
