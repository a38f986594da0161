import { describe, expect, test } from "vitest";
import { type Place, chatWith, href, parse } from "./places";

const places: Place[] = [
  { name: "chats" },
  { name: "chat", person: "mira.k-1_x" },
  { name: "chat", person: "~AbC_-9" },
  { name: "people" },
  { name: "settings" },
  { name: "admin", tab: "people" },
  { name: "admin", tab: "dead-letters" },
  { name: "signin", next: "/" },
  { name: "signin", next: "/c/mira" },
  { name: "signup", next: "/" },
  { name: "signup", next: "/c/mira" },
  { name: "reset", next: "/" },
  { name: "reset", next: "/c/mira" },
  { name: "mail", mode: "verifyEmail", code: "a/b?c&d" },
  { name: "mail", mode: "", code: "" },
];

describe("places", () => {
  test.each(places)("the address of %o leads back to it", (place) => {
    const url = new URL(href(place), "http://x");
    expect(parse(url.pathname, url.search)).toEqual(place);
  });

  test.each(["/nowhere", "/c", "/c/", "/c/a/b", "/c/%", "/admin/else", "/people/x"])("%s is not a place", (path) => {
    expect(parse(path).name).toBe("nowhere");
  });

  test("the address of a link may have more than its mode and its code, or less", () => {
    const search = "?mode=recoverEmail&oobCode=c0de&apiKey=k&lang=en&next=%2Fc%2Fmira";
    expect(parse("/mail", search)).toEqual({ name: "mail", mode: "recoverEmail", code: "c0de" });
    expect(parse("/mail")).toEqual({ name: "mail", mode: "", code: "" });
  });

  test.each([
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "javascript:x",
    "/signin",
    "/mail?mode=verifyEmail&oobCode=x",
    "people",
    "",
  ])("neither a sign-in nor a sign-up ever leads to %s", (next) => {
    for (const name of ["signin", "signup"])
      expect(parse(`/${name}`, `?next=${encodeURIComponent(next)}`)).toEqual({ name, next: "/" });
  });

  test("users without a known username are reached by their id", () => {
    expect(chatWith({ uid: "u1", username: "" })).toBe("/c/~u1");
    expect(chatWith({ uid: "u1", username: "mira" })).toBe("/c/mira");
  });
});
