import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { hasBeen, noteBeen } from "./been";
import { inviter, rememberNext, takeNext } from "./invitation";

beforeEach(() => {
  const notes = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => notes.get(key) ?? null,
    setItem: (key: string, value: string) => notes.set(key, value),
    removeItem: (key: string) => notes.delete(key),
  });
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test.each([
  ["/c/mara", "mara"],
  ["/c/mara.k-1_x", "mara.k-1_x"],
  ["/", null],
  ["/people", null],
  ["/c/~AbC", null], // an id is no name
  ["/c/Your%20bank", null],
  ["/c/m%E2%80%AEara", null],
  [`/c/${"a".repeat(31)}`, null],
])("%s is an invitation of %s", (next, name) => expect(inviter(next)).toBe(name));

test("the place to open after a password reset is given once, and only for an hour", () => {
  expect(takeNext()).toBe("/");
  rememberNext("/c/mara");
  expect(takeNext()).toBe("/c/mara");
  expect(takeNext()).toBe("/");
  rememberNext("/c/mara");
  vi.advanceTimersByTime(3_600_001);
  expect(takeNext()).toBe("/");
});

test("a note that somebody else has written leads nowhere", () => {
  for (const note of ["", "null", "{", '{"next":"//evil.example","at":0}', '{"next":"/settings","at":0}']) {
    localStorage.setItem("phoenix.next", note);
    expect(takeNext()).toBe("/");
  }
});

test("a browser remembers that somebody has signed in", () => {
  expect(hasBeen()).toBe(false);
  noteBeen();
  expect(hasBeen()).toBe(true);
});

test("a browser that denies storage forgets everything, without an error", () => {
  vi.stubGlobal("localStorage", undefined);
  noteBeen();
  rememberNext("/c/mara");
  expect([hasBeen(), takeNext()]).toEqual([false, "/"]);
});
