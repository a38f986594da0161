import { text } from "../text";

/**
 * Times and numbers as people say them, formatted by Intl. Times are milliseconds since the epoch, as in the model.
 */

/** The language of the texts, with the region that the user prefers for it: "en-US" gives 2:02 PM, "en-GB" 14:02. */
export function localeOf(preferred: readonly string[], language: string): string {
  const own = preferred.find((tag) => tag === language || tag.startsWith(`${language}-`));
  return own !== undefined && own !== language ? own : language === "en" ? "en-GB" : language;
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
  /** For tables: "3 days", "5 min". */
  duration(seconds: number): string;
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
  const unit = (value: number, name: string) =>
    new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: 0 }).format(
      value,
    );

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
    duration(seconds) {
      if (seconds < 60) return unit(Math.max(0, seconds), "second");
      if (seconds < 3600) return unit(seconds / 60, "minute");
      if (seconds < 86_400) return unit(seconds / 3600, "hour");
      return unit(seconds / 86_400, "day");
    },
  };
}

/** The formats of this browser. */
export const format: Format = formats(
  localeOf(typeof navigator === "undefined" ? [] : navigator.languages, text.language),
);
