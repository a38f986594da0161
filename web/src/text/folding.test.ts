import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fold } from "./folding";

const shared = (path: string): string =>
  readFileSync(new URL(`../../../functions/store/${path}`, import.meta.url), "utf8");

test.each(JSON.parse(shared("testdata/folding.json")) as [string, string][])("%j becomes %j", (name, folded) => {
  expect(fold(name)).toBe(folded);
  expect(fold(folded)).toBe(folded);
});

test("the table is that of the server", () => {
  expect(readFileSync(new URL("folding.json", import.meta.url), "utf8")).toBe(shared("folding.json"));
});
