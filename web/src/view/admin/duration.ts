import { text } from "../../text";
import { localeOf } from "../format";

/** Returns a duration for tables: "3 days", "5 mins". */
export function duration(seconds: number, locale = localeOf(navigator.languages, text.language)): string {
  const unit = (value: number, name: string): string =>
    new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: 0 }).format(
      value,
    );
  if (seconds < 60) return unit(Math.max(0, seconds), "second");
  if (seconds < 3600) return unit(seconds / 60, "minute");
  if (seconds < 86_400) return unit(seconds / 3600, "hour");
  return unit(seconds / 86_400, "day");
}
