import type { ReportedName } from "../../model";
import { adminText } from "../../text/admin";

/** Returns the name of a person in a report. */
export function nameInReport({ displayName, username }: ReportedName): string {
  return displayName || username || adminText.reports.gone;
}
