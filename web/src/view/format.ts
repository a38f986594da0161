import { createSubscriber } from "svelte/reactivity";
import { text } from "../text";

/**
 * Times and numbers as people say them, formatted by Intl. Times are milliseconds since the epoch, as in the model.
 */

/**
 * Returns the language of the texts with the habits of the user's first language: its region, the order of day and
 * month, and 12 or 24 hours. For "de-DE" and English texts it is "en-DE-u-hc-h23".
 */
export function localeOf(preferred: readonly string[], language: string): string {
  const [first = ""] = preferred;
  const otherwise = language === "en" ? "en-GB" : language;
  if (first.startsWith(`${language}-`)) return first;
  if (first === "" || first === language) return otherwise;
  try {
    const regional = `${language}-${new Intl.Locale(first).maximize().region ?? ""}`;
    const { hourCycle = "h23" } = new Intl.DateTimeFormat(first, { hour: "numeric" }).resolvedOptions();
    return `${known(regional) ? regional : monthFirst(first) ? `${language}-US` : otherwise}-u-hc-${hourCycle}`;
  } catch {
    return otherwise; // the browser reports something that is not a language
  }
}

/** Whether the browser knows the habits of this language in this region. */
function known(locale: string): boolean {
  return new Intl.DateTimeFormat(locale).resolvedOptions().locale === locale;
}

function monthFirst(locale: string): boolean {
  const parts = new Intl.DateTimeFormat(locale, { day: "numeric", month: "numeric" }).formatToParts(0);
  return parts.findIndex((part) => part.type === "month") < parts.findIndex((part) => part.type === "day");
}

export interface Format {
  /** "14:02" */
  clock(at: number): string;
  /** "Today", "Yesterday", "Thursday" within the last six days, "12 November", with the year if it is another year. */
  day(at: number, now: number): string;
  /** For lists: "14:02" today, "Yesterday", "Thu" within the last six days, "12 Nov", "12 Nov 2024". */
  brief(at: number, now: number): string;
  /** Within a sentence: "just now", "5 minutes ago" within the last hour, "today at 14:02", "on 12 November". */
  ago(at: number, now: number): string;
  /** Day and time in full, for titles and tables. */
  full(at: number): string;
  /** "1,234" */
  number(n: number): string;
  /** Within a sentence: "in 5 minutes", "in 3 hours". */
  ahead(ms: number): string;
}

/** Returns the day of `at` in the local zone for machines and file names: "2026-11-27". */
export function isoDay(at: number): string {
  const date = new Date(at);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Returns the calendar days between two times in the local zone: 0 for the same day, 1 for the day before. */
export function daysBetween(at: number, now: number): number {
  const a = new Date(at);
  const b = new Date(now);
  // Noon, so that a change of the clocks does not shift the day.
  const noon = (d: Date) => new Date(d.getFullYear(), d.getMonth(), d.getDate(), 12).getTime();
  return Math.round((noon(b) - noon(a)) / 86_400_000);
}

export function formats(locale: string): Format {
  const dates = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(locale, options);
  const clock = dates({ timeStyle: "short" });
  const weekday = dates({ weekday: "long" });
  const weekdayShort = dates({ weekday: "short" });
  const dayMonth = dates({ day: "numeric", month: "long" });
  const dayMonthYear = dates({ day: "numeric", month: "long", year: "numeric" });
  const brief = dates({ day: "numeric", month: "short" });
  const briefYear = dates({ day: "numeric", month: "short", year: "numeric" });
  const full = dates({ dateStyle: "medium", timeStyle: "short" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  const number = new Intl.NumberFormat(locale);

  const date = (at: number) => new Date(at);
  const sameYear = (at: number, now: number) => date(at).getFullYear() === date(now).getFullYear();
  const time = (at: number) => clock.format(date(at));

  return {
    clock: time,
    day(at, now) {
      const days = daysBetween(at, now);
      if (days === 0) return text.days.today;
      if (days === 1) return text.days.yesterday;
      if (days > 1 && days < 7) return weekday.format(date(at));
      return (sameYear(at, now) ? dayMonth : dayMonthYear).format(date(at));
    },
    brief(at, now) {
      const days = daysBetween(at, now);
      if (days === 0) return time(at);
      if (days === 1) return text.days.yesterday;
      if (days > 1 && days < 7) return weekdayShort.format(date(at));
      return (sameYear(at, now) ? brief : briefYear).format(date(at));
    },
    ago(at, now) {
      const minutes = Math.floor((now - at) / 60_000);
      if (minutes < 1) return text.days.justNow;
      if (minutes < 60) return relative.format(-minutes, "minute");
      const days = daysBetween(at, now);
      if (days <= 0) return text.days.todayAt(time(at));
      if (days === 1) return text.days.yesterdayAt(time(at));
      return text.days.on((sameYear(at, now) ? dayMonth : dayMonthYear).format(date(at)));
    },
    full: (at) => full.format(date(at)),
    number: (n) => number.format(n),
    ahead(ms) {
      const minutes = Math.ceil(ms / 60_000);
      return minutes < 90 ? relative.format(minutes, "minute") : relative.format(Math.ceil(minutes / 60), "hour");
    },
  };
}

/** Returns the time zone and the languages, on which the formats depend. The user may change them at any time. */
function surroundings(): string {
  return `${new Intl.DateTimeFormat().resolvedOptions().timeZone} ${languages().join()}`;
}

function languages(): readonly string[] {
  return typeof navigator === "undefined" ? [] : navigator.languages;
}

/** How often the time zone and the languages are compared. */
const COMPARE_EVERY_MS = 1_000;

/** The formats of this browser, which follow the device's time zone and the user's languages. */
class LiveFormat implements Format {
  private formats!: Format;
  private made = "";
  private compared = Number.NEGATIVE_INFINITY;
  private changed: (() => void) | null = null;
  /** Called by components that show a time, so that they show it again after a change. */
  private readonly subscribe = createSubscriber((changed) => {
    this.changed = changed;
    const compare = (): void => void this.current();
    const timer = setInterval(compare, 60_000);
    for (const event of ["focus", "languagechange"]) addEventListener(event, compare);
    return () => {
      clearInterval(timer);
      for (const event of ["focus", "languagechange"]) removeEventListener(event, compare);
    };
  });

  clock = (at: number): string => this.live().clock(at);
  day = (at: number, now: number): string => this.live().day(at, now);
  brief = (at: number, now: number): string => this.live().brief(at, now);
  ago = (at: number, now: number): string => this.live().ago(at, now);
  full = (at: number): string => this.live().full(at);
  number = (n: number): string => this.live().number(n);
  ahead = (ms: number): string => this.live().ahead(ms);

  private live(): Format {
    this.subscribe();
    return this.current();
  }

  private current(): Format {
    const now = Date.now();
    if (Math.abs(now - this.compared) < COMPARE_EVERY_MS) return this.formats;
    this.compared = now;
    const around = surroundings();
    if (around === this.made) return this.formats;
    const first = this.made === "";
    this.made = around;
    this.formats = formats(localeOf(languages(), text.language));
    // Not while a component is being drawn.
    if (!first) queueMicrotask(() => this.changed?.());
    return this.formats;
  }
}

export const format: Format = new LiveFormat();
