import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { text } from "../text";
import { adminText } from "../text/admin";
import { authText } from "../text/auth";
import { choiceText } from "../text/choices";
import { heldText } from "../text/held";
import { mailText } from "../text/mail";
import { messageText } from "../text/messages";
import { fieldText, problemText as formProblemText } from "./formProblems";
import { problemText } from "./problems";

const problem = (code: string, message = "", fields: Record<string, string> = {}) => ({
  code,
  message,
  fields,
  retryAfterMs: null,
});

test("a known code has its sentence, and an unknown one the general one; the server's is not shown", () => {
  expect(problemText(problem("offline", "ECONNREFUSED"))).toBe(text.problems.offline);
  expect(problemText(problem("new_code", "The server says this."))).toBe(text.problems.unexpected);
  for (const code of ["new_code", "", "constructor", "__proto__", "toString"])
    expect(problemText(problem(code))).toBe(text.problems.unexpected);
});

test("a limit with a longer pause says when to try again", () => {
  const limited = (retryAfterMs: number | null): string => problemText({ code: "rate_limited", retryAfterMs });
  expect(limited(null)).toBe(text.problems.rate_limited);
  expect(limited(30_000)).toBe(text.problems.rate_limited);
  expect(limited(301_000)).toBe(text.later("in 6 minutes"));
  expect(limited(20 * 3_600_000)).toBe(text.later("in 20 hours"));
  expect(problemText({ ...problem("offline"), retryAfterMs: 301_000 })).toBe(text.problems.offline);
});

test("a field shows the sentence of its code, or that of a refused value; other fields show none", () => {
  const refused = (code: string) => problem("invalid_fields", "See the fields.", { username: code });
  expect(fieldText(refused("username_reserved"), "username")).toBe(authText.problems.username_reserved);
  for (const code of ["", "new_code", "toString"])
    expect(fieldText(refused(code), "username")).toBe(authText.refused.username);
  for (const code of ["password_weak", "username_taken"] as const)
    expect(fieldText(problem(code, "", { password: "x" }), "password")).toBe(authText.problems[code]);
  expect(fieldText(problem("invalid_fields", "", { password: "x" }), "email")).toBe("");
  expect(fieldText(problem("invalid_fields", "", { reason: "x" }), "reason")).toBe(text.problems.unexpected);
  expect(fieldText(problem("invalid_fields"), "toString")).toBe("");
  expect(formProblemText(problem("offline", "x"))).toBe(text.problems.offline);
  expect(formProblemText(problem("constructor", "x"))).toBe(text.problems.unexpected);
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

/** The sentences of all codes. Those of forms, of changes, of choices and of the panel are loaded with them. */
const all = {
  ...text.problems,
  ...authText.problems,
  ...messageText.problems,
  ...heldText.problems,
  ...mailText.problems,
  ...choiceText.problems,
  ...adminText.problems,
};

describe("the message catalogue", () => {
  test("every problem that the client reports itself has a sentence", () => {
    const made = sources("model", "net").flatMap(({ code }) => [
      ...[...bare(code).matchAll(/(?:failed|problem)\("([a-z_]+)"/gu)].map((m) => m[1]),
      ...[...bare(code).matchAll(/new ApiProblem\([^"]*?"([a-z_]+)", ""/gu)].map((m) => m[1]),
      ...[...bare(code).matchAll(/code: "([a-z_]+)", message: ""/gu)].map((m) => m[1]),
    ]);
    expect(made.length).toBeGreaterThan(8);
    // The callers that look for a user show who was not found.
    expect([...new Set(made)].filter((code) => code !== "not_found" && !Object.hasOwn(all, code ?? ""))).toEqual([]);
  });

  test("every code of a field that the server reports has a sentence", () => {
    const server = readFileSync(new URL("../../../functions/users/fields.go", import.meta.url), "utf8");
    const codes = [...server.matchAll(/\{"([a-z]+_[a-z_]+)", "/gu)].map((m) => m[1] ?? "");
    expect(codes.length).toBeGreaterThan(12);
    expect(codes.filter((code) => !Object.hasOwn(authText.problems, code))).toEqual([]);
  });

  test("no component shows a sentence of the server", () => {
    expect(
      sources("view")
        .filter(({ code }) => /(?:problem|refusal|reported)\??\.message\b/u.test(bare(code)))
        .map(({ file }) => file),
    ).toEqual([]);
  });
});
