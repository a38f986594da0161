import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { duration } from "./admin/duration";
import { daysBetween, format, formats, isoDay, localeOf } from "./format";

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
    expect([5, 120, 7200, 200_000].map((s) => duration(s, "en-GB"))).toEqual(["5 secs", "2 mins", "2 hrs", "2 days"]);
  });
});

test.each([
  [["en-US", "en"], "en-US", "2:30 PM", "Nov 22"],
  [["en-AU"], "en-AU", "2:30 pm", "22 Nov"],
  [["de-DE", "de", "en-US", "en"], "en-DE-u-hc-h23", "14:30", "22 Nov"],
  [["ar-EG"], "en-GB-u-hc-h12", "2:30 pm", "22 Nov"],
  [["ja-JP", "en-US"], /^en-(?:JP|US)-u-hc-h23$/u, "14:30", "Nov 22"],
  [["fr-CA"], "en-CA-u-hc-h23", "14:30", "Nov 22"],
  [["es-MX"], /^en-/u, /2:30|14:30/u, "22 Nov"],
  [["de"], "en-DE-u-hc-h23", "14:30", "22 Nov"],
  [["en"], "en-GB", "14:30", "22 Nov"],
  [[], "en-GB", "14:30", "22 Nov"],
  [["no language"], "en-GB", "14:30", "22 Nov"],
] as const)("for the languages %j, the locale is %s, with %s and %s", (languages, locale, clock, brief) => {
  const got = localeOf(languages, "en");
  const now = at("2026-11-22T14:30:00+01:00");
  if (typeof locale === "string") expect(got).toBe(locale);
  else expect(got).toMatch(locale);
  const time = formats(got).clock(now).replace(/\s/gu, " ");
  if (typeof clock === "string") expect(time).toBe(clock);
  else expect(time).toMatch(clock);
  expect(formats(got).brief(now, now + 30 * 86_400_000)).toBe(brief);
});

test("a day for machines is the local one", () => {
  expect(isoDay(at("2026-11-27T00:30:00+01:00"))).toBe("2026-11-27"); // still the 26th in UTC
  expect(isoDay(at("2026-01-02T23:30:00+01:00"))).toBe("2026-01-02");
});

describe("the formats of this device", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: at("2026-11-22T14:30:00+01:00") });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
    process.env["TZ"] = "Europe/Berlin";
  });

  test("follow its time zone, so that days and clocks agree", () => {
    const now = Date.now();
    const late = at("2026-11-22T23:30:00+01:00");
    expect([format.clock(late), format.day(late, now)]).toEqual(["23:30", "Today"]);
    process.env["TZ"] = "Asia/Tokyo";
    vi.advanceTimersByTime(1_000);
    expect([format.clock(late), format.day(late, now), format.full(late)]).toEqual([
      "07:30",
      "23 November",
      expect.stringContaining("23 Nov 2026"),
    ]);
    process.env["TZ"] = "Europe/Berlin";
    vi.advanceTimersByTime(1_000);
    expect(format.clock(late)).toBe("23:30");
  });

  test("follow the user's languages", () => {
    const now = Date.now();
    vi.stubGlobal("navigator", { languages: ["en-US"] });
    vi.advanceTimersByTime(10_000);
    expect(format.clock(now)).toMatch(/^2:30\sPM$/u);
    vi.stubGlobal("navigator", { languages: ["de-DE", "en-US"] });
    vi.advanceTimersByTime(10_000);
    expect(format.clock(now)).toBe("14:30");
  });
});
