import { expect, test } from "vitest";
import { isQuiet, nextHour, noteQuiet, noteSound, NO_QUIET, quietOf, soundOf } from "./quiet";

const at = (hours: number, minutes = 0): number => new Date(2026, 0, 10, hours, minutes).getTime();

test.each([
  [NO_QUIET, at(0), false],
  [{ from: 22 * 60, to: 7 * 60, until: 0 }, at(21, 59), false],
  [{ from: 22 * 60, to: 7 * 60, until: 0 }, at(22), true],
  [{ from: 22 * 60, to: 7 * 60, until: 0 }, at(6, 59), true],
  [{ from: 22 * 60, to: 7 * 60, until: 0 }, at(7), false],
  [{ from: 12 * 60, to: 13 * 60 + 30, until: 0 }, at(11, 59), false],
  [{ from: 12 * 60, to: 13 * 60 + 30, until: 0 }, at(13, 29), true],
  [{ from: 12 * 60, to: 13 * 60 + 30, until: 0 }, at(13, 30), false],
  [{ from: 0, to: 0, until: at(12) }, at(11, 59), true],
  [{ from: 0, to: 0, until: at(12) }, at(12), false],
])("%o at %d: %s", (quiet, now, expected) => {
  expect(isQuiet(quiet, now)).toBe(expected);
});

test("the next time of an hour is in the future, today or tomorrow", () => {
  expect(nextHour(8, at(7, 59))).toBe(at(8));
  expect(nextHour(8, at(8))).toBe(at(24 + 8));
  expect(nextHour(8, at(23))).toBe(at(24 + 8));
});

test("choices are kept in notes, and a note that is not one counts as none", () => {
  const stored = new Map<string, string>();
  const notes = {
    get: (key: string) => stored.get(key) ?? null,
    set: (key: string, value: string) => void stored.set(key, value),
    remove: (key: string) => void stored.delete(key),
  };
  expect([quietOf(notes), soundOf(notes)]).toEqual([NO_QUIET, "system"]);
  noteQuiet(notes, { from: 60, to: 120, until: 5 });
  noteSound(notes, "drop");
  expect([quietOf(notes), soundOf(notes)]).toEqual([{ from: 60, to: 120, until: 5 }, "drop"]);
  for (const note of ["", "{", "null", "[]", '{"from":1440,"to":0,"until":0}', '{"from":1.5,"to":0,"until":0}', "{}"]) {
    notes.set("phoenix.quiet", note);
    expect(quietOf(notes), note).toEqual(NO_QUIET);
  }
  notes.set("phoenix.sound", "trumpet");
  expect(soundOf(notes)).toBe("system");
});
