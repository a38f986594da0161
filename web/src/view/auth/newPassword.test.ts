import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Common, passwordFault, passwordRules } from "./newPassword";

let common: Common | null = null;
const met = (password: string, names = ["mira.kern", "Łukasz Kérn", "m.k-private@example.org"]): (boolean | null)[] =>
  passwordRules(password, names, common).map((rule) => rule.met);

test("each rule for new passwords is checked separately, as the server does", () => {
  expect(met("correct horse")).toEqual([true, true, null]);
  expect(passwordFault(passwordRules("correct horse", [], null))).toBe("");
  expect(passwordFault(passwordRules("short", [], null))).not.toBe("");
  const list = new URL("../../../../functions/password/common.txt", import.meta.url);
  common = new Set(readFileSync(list, "utf8").split("\n"));

  expect(met("")).toEqual([false, false, false]);
  expect(met("1234567")).toEqual([false, true, false]);
  expect(met("e\u0301".repeat(7))).toEqual([false, true, false]);
  for (const good of ["correct horse", "password ", "mira.kern7", "!?!?!?!?", "жанна и кот", "x1".repeat(100)])
    expect(met(good)).toEqual([true, true, true]);
  for (const common of ["password", "PassWord123", "12345678", "passwort1", "PhoenixChat", "        ", "aaaaAAAA"])
    expect(met(common)).toEqual([true, true, false]);
  for (const own of ["mira.kern", "Mira.Kern", "mirakern", "--Mira_Kern--", "Łukasz Ke\u0301rn", "LUKASZ KERN!"])
    expect(met(own)).toEqual([true, false, true]);
  for (const own of ["m.k-private@example.org", "M.K-Private", "mkprivate"])
    expect(met(own)).toEqual([true, false, true]);
  expect(met("!?!?!?!?", ["!!!!!", ""])).toEqual([true, true, true]);
});
