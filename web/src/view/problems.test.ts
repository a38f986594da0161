import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { text } from "../text";
import { fieldWords, problemWords } from "./problems";

const problem = (code: string, message = "", fields: Record<string, string> = {}) => ({
  code,
  message,
  fields,
  retryAfterMs: null,
});

test("a code has our words; an unknown one the server's; without either something went wrong", () => {
  expect(problemWords(problem("offline", "ECONNREFUSED"))).toBe(text.problems.offline);
  expect(problemWords(problem("new_code", "The server says this."))).toBe("The server says this.");
  for (const code of ["new_code", "", "constructor", "__proto__", "toString"])
    expect(problemWords(problem(code))).toBe(text.problems.unexpected);
});

test("a field has the server's words, or those of the code; other fields have none", () => {
  expect(fieldWords(problem("invalid_fields", "See the fields.", { username: "It is taken." }), "username")).toBe(
    "It is taken.",
  );
  expect(fieldWords(problem("password_weak", "", { password: "" }), "password")).toBe(text.problems.password_weak);
  expect(fieldWords(problem("invalid_fields", "", { username: "x" }), "email")).toBe("");
  expect(fieldWords(problem("invalid_fields"), "toString")).toBe("");
});

const root = fileURLToPath(new URL("..", import.meta.url));
function sources(...folders: string[]): { file: string; code: string }[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.(?:ts|svelte)$/u.test(file) && !file.includes("test") && !file.includes("service-worker"))
      .map((file) => ({ file: join(folder, file), code: readFileSync(join(root, folder, file), "utf8") })),
  );
}
/** Without comments, in which sentences belong. */
const bare = (code: string): string => code.replace(/\/\*[\s\S]*?\*\/|<!--[\s\S]*?-->|(?<![:"'`])\/\/.*$/gmu, "");

describe("the message catalogue", () => {
  test("every problem that the client finds itself has words", () => {
    const made = sources("model", "net").flatMap(({ code }) => [
      ...[...bare(code).matchAll(/(?:failed|problem)\("([a-z_]+)"/gu)].map((m) => m[1]),
      ...[...bare(code).matchAll(/new ApiProblem\([^"]*?"([a-z_]+)", ""/gu)].map((m) => m[1]),
      ...[...bare(code).matchAll(/code: "([a-z_]+)", message: ""/gu)].map((m) => m[1]),
    ]);
    expect(made.length).toBeGreaterThan(8);
    // Whoever asks for a person says who was not found.
    expect(
      [...new Set(made)].filter((code) => code !== "not_found" && !Object.hasOwn(text.problems, code ?? "")),
    ).toEqual([]);
  });

  test("sentences for people stand nowhere else", () => {
    const found = sources("model", "net", "platform", "protocol", "view").flatMap(({ file, code }) =>
      [...bare(code).matchAll(/(["'`])([A-Z][a-z’']+(?: [\w’',–-]+){2,}[.?…]?)\1/gu)].map(
        (m) => `${file}: ${m[2] ?? ""}`,
      ),
    );
    expect(found).toEqual([]);
  });

  test("nothing shows a problem's own message past the catalogue", () => {
    expect(
      sources("view")
        .filter(({ file, code }) => file !== join("view", "problems.ts") && /problem\.message/u.test(bare(code)))
        .map(({ file }) => file),
    ).toEqual([]);
  });
});
