import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { text } from "../text";
import { fieldText, problemText } from "./problems";

const problem = (code: string, message = "", fields: Record<string, string> = {}) => ({
  code,
  message,
  fields,
  retryAfterMs: null,
});

test("a known code has the client's sentence, an unknown one the server's, or else a general one", () => {
  expect(problemText(problem("offline", "ECONNREFUSED"))).toBe(text.problems.offline);
  expect(problemText(problem("new_code", "The server says this."))).toBe("The server says this.");
  for (const code of ["new_code", "", "constructor", "__proto__", "toString"])
    expect(problemText(problem(code))).toBe(text.problems.unexpected);
});

test("a limit with a longer pause says when to try again", () => {
  const limited = (retryAfterMs: number | null): string =>
    problemText({ code: "rate_limited", message: "", retryAfterMs });
  expect(limited(null)).toBe(text.problems.rate_limited);
  expect(limited(30_000)).toBe(text.problems.rate_limited);
  expect(limited(301_000)).toBe(text.later("in 6 minutes"));
  expect(limited(20 * 3_600_000)).toBe(text.later("in 20 hours"));
  expect(problemText({ ...problem("offline"), retryAfterMs: 301_000 })).toBe(text.problems.offline);
});

test("a field shows the server's sentence, or that of the code; other fields show none", () => {
  expect(fieldText(problem("invalid_fields", "See the fields.", { username: "It is taken." }), "username")).toBe(
    "It is taken.",
  );
  expect(fieldText(problem("password_weak", "", { password: "" }), "password")).toBe(text.problems.password_weak);
  expect(fieldText(problem("invalid_fields", "", { username: "x" }), "email")).toBe("");
  expect(fieldText(problem("invalid_fields"), "toString")).toBe("");
});

const root = fileURLToPath(new URL("..", import.meta.url));
function sources(...folders: string[]): { file: string; code: string }[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.(?:ts|svelte)$/u.test(file) && !file.includes("test") && !file.includes("service-worker"))
      .map((file) => ({ file: join(folder, file), code: readFileSync(join(root, folder, file), "utf8") })),
  );
}
/** Removes comments, because these may contain sentences. */
const bare = (code: string): string => code.replace(/\/\*[\s\S]*?\*\/|<!--[\s\S]*?-->|(?<![:"'`])\/\/.*$/gmu, "");

describe("the message catalogue", () => {
  test("every problem that the client reports itself has a sentence", () => {
    const made = sources("model", "net").flatMap(({ code }) => [
      ...[...bare(code).matchAll(/(?:failed|problem)\("([a-z_]+)"/gu)].map((m) => m[1]),
      ...[...bare(code).matchAll(/new ApiProblem\([^"]*?"([a-z_]+)", ""/gu)].map((m) => m[1]),
      ...[...bare(code).matchAll(/code: "([a-z_]+)", message: ""/gu)].map((m) => m[1]),
    ]);
    expect(made.length).toBeGreaterThan(8);
    // The callers that look for a user show who was not found.
    expect(
      [...new Set(made)].filter((code) => code !== "not_found" && !Object.hasOwn(text.problems, code ?? "")),
    ).toEqual([]);
  });

  test("sentences for people are defined only there", () => {
    const found = sources("model", "net", "platform", "protocol", "view").flatMap(({ file, code }) =>
      [...bare(code).matchAll(/(["'`])([A-Z][a-z’']+(?: [\w’',–-]+){2,}[.?…]?)\1/gu)].map(
        (m) => `${file}: ${m[2] ?? ""}`,
      ),
    );
    expect(found).toEqual([]);
  });

  test("no component shows the message of a problem directly", () => {
    expect(
      sources("view")
        .filter(({ file, code }) => file !== join("view", "problems.ts") && /problem\.message/u.test(bare(code)))
        .map(({ file }) => file),
    ).toEqual([]);
  });
});
