import { expect, test } from "vitest";
import { authText } from "../../text/auth";
import { emailError, emailOf, nameError, usernameError, usernameFrom, usernameOf } from "./rules";

test.each([
  ["mira", true],
  ["m.k-1_x", true],
  [".mira", false],
  ["mira-", false],
  ["ab", false],
  ["Mira", false],
  ["mi ra", false],
  ["a".repeat(31), false],
  ["", false],
])("username %s", (username, good) => expect(usernameError(username) === "").toBe(good));

test.each([
  ["a@b.cd", true],
  [" a@b.cd ", true],
  ["a@b", false],
  ["a b@c.de", false],
  ["a@b.", false],
  ["mara@bücher.example", true],
  ["mara@bücher", false],
  ["mara@bü/cher.example", false],
])("e-mail %s", (email, good) => expect(emailError(email) === "").toBe(good));

test("the domain of an email address is converted, and other letters before it have a clear reason", () => {
  expect(emailOf(" mara@Bücher.example ")).toBe("mara@xn--bcher-kva.example");
  expect(emailOf("mara＠日本。例え")).toBe("mara@xn--wgv71a.xn--r8jz45g");
  expect(emailOf("mara@a.bücher.example/x")).toBe("mara@a.bücher.example/x");
  expect(emailOf("Mara@Example.org")).toBe("Mara@Example.org");
  expect(emailOf("bücher.example")).toBe("bücher.example");
  for (const email of ["müller@example.org", "жанна@example.org", "müller@bücher.example"])
    expect(emailError(email)).toBe(authText.errors.emailLetters);
});

test("a name has 1 to 50 characters", () => {
  expect(nameError("  ")).not.toBe("");
  expect(nameError("😀".repeat(50))).toBe("");
  expect(nameError("a".repeat(51))).not.toBe("");
});

test.each([
  ["Élodie Ä.", "elodie.a"],
  ["Mira", "mira"],
  ["木村", ""],
  ["  O’Neil & Sons  ", "oneil.sons"],
  ["Łukasz", "lukasz"],
  ["Søren Ægir", "soren.aegir"],
  ["Straße", "strasse"],
])("%s becomes %s", (name, username) => expect(usernameFrom(name)).toBe(username));

test.each([
  ["mira", "mira"],
  [" Mira Kern\n", "mira.kern"],
  ["Ｍｉｒａ", "mira"],
  ["  ", ""],
])("the typed username %j means %j", (typed, username) => expect(usernameOf(typed)).toBe(username));
