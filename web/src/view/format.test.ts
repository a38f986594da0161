import { afterAll, describe, expect, test } from "vitest";
import { daysBetween, formats, localeOf } from "./format";

const zone = process.env["TZ"];
process.env["TZ"] = "Europe/Berlin"; // before any format is created
afterAll(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
});

const at = (iso: string) => new Date(iso).getTime();

describe("dates", () => {
  const gb = formats("en-GB");
  const now = at("2026-11-22T14:30:00+01:00"); // a Sunday

  test.each([
    ["2026-11-22T00:00:01+01:00", "Today", "00:00"],
    ["2026-11-21T23:59:59+01:00", "Yesterday", "Yesterday"],
    ["2026-11-20T12:00:00+01:00", "Friday", "Fri"],
    ["2026-11-16T12:00:00+01:00", "Monday", "Mon"],
    ["2026-11-15T12:00:00+01:00", "15 November", "15 Nov"],
    ["2025-12-31T23:00:00+01:00", "31 December 2025", "31 Dec 2025"],
    ["2026-11-23T00:10:00+01:00", "23 November", "23 Nov"], // in the future
  ])("%s is %s and %s", (iso, day, brief) => {
    expect(gb.day(at(iso), now)).toBe(day);
    expect(gb.brief(at(iso), now)).toBe(brief);
  });

  test.each([
    ["2026-11-22T14:29:30+01:00", "just now"],
    ["2026-11-22T14:31:00+01:00", "just now"], // in the future
    ["2026-11-22T14:20:00+01:00", "10 minutes ago"],
    ["2026-11-22T09:05:00+01:00", "today at 09:05"],
    ["2026-11-21T09:05:00+01:00", "yesterday at 09:05"],
    ["2026-11-12T09:05:00+01:00", "on 12 November"],
    ["2024-11-12T09:05:00+01:00", "on 12 November 2024"],
  ])("%s is %s", (iso, words) => expect(gb.ago(at(iso), now)).toBe(words));

  test("days follow the calendar when the clocks change", () => {
    expect(daysBetween(at("2026-03-28T23:30:00+01:00"), at("2026-03-29T23:30:00+02:00"))).toBe(1);
    expect(daysBetween(at("2026-10-24T00:30:00+02:00"), at("2026-10-25T23:30:00+01:00"))).toBe(1);
  });

  test("the clock follows the region", () => {
    expect(gb.clock(now)).toBe("14:30");
    expect(formats("en-US").clock(now)).toMatch(/^2:30\sPM$/u);
  });

  test("durations use the unit that fits", () => {
    expect([5, 120, 7200, 200_000].map((s) => gb.duration(s))).toEqual(["5 secs", "2 mins", "2 hrs", "2 days"]);
  });
});

test("the locale is the user's variant of the language, else British", () => {
  expect(localeOf(["de-DE", "en-US", "en"], "en")).toBe("en-US");
  expect(localeOf(["de-DE", "en"], "en")).toBe("en-GB");
  expect(localeOf([], "en")).toBe("en-GB");
});
