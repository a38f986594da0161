import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fold } from "./folding";
import table from "./folding.json";

const shared = (path: string): string =>
  readFileSync(new URL(`../../../functions/store/${path}`, import.meta.url), "utf8");

test.each(JSON.parse(shared("testdata/folding.json")) as [string, string][])("%j becomes %j", (name, folded) => {
  expect(fold(name)).toBe(folded);
  expect(fold(folded)).toBe(folded);
});

test("the table is that of the server", () => {
  expect(readFileSync(new URL("folding.json", import.meta.url), "utf8")).toBe(shared("folding.json"));
});

const quotes = new Set(table.quotes);
const plainOf = new Map([...Object.entries(table.letters), ...Array.from(table.dashes, (d) => [d, "-"] as const)]);

/** The rule of the server, character by character (functions/store/fold.go). */
function foldByCharacter(name: string): string {
  const kept = Array.from(name)
    .filter((c) => !quotes.has(c))
    .join("")
    .normalize("NFKD")
    .replace(/[\p{Mn}\p{Cf}]/gu, "");
  return Array.from(kept, (c) => {
    const lower = c.toLowerCase();
    const plain = plainOf.get(lower) ?? lower.toUpperCase().toLowerCase();
    return quotes.has(plain) ? "" : (plainOf.get(plain) ?? plain);
  })
    .join("")
    .replace(/\s+/gu, " ")
    .trim();
}

test("folding a whole text is folding each of its characters", () => {
  const unit = fc.oneof(
    fc.constantFrom(...table.quotes, ...table.dashes, "\u1fef", "\u00b4", "\u2057", "İ", "Σ", "ẞ", "\n", " ", "\u00a0"),
    fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code)),
  );
  fc.assert(fc.property(fc.string({ unit }), (name) => fold(name) === foldByCharacter(name)));
});
