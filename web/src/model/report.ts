/** Reports about other people, and the warnings that may follow. Loaded with the dialogs. */
import { Fields } from "../protocol/fields";
import type { LateParts } from "./interface/late";
import type { Outcome } from "./interface/outcome";
import { outcome } from "./outcome";

/** The server's limits. */
export const MOST_MESSAGES = 20;
export const MOST_COMMENT = 1000;

export const reportReasons = ["spam", "abuse", "threat", "sexual", "impersonation", "other"] as const;
export type ReportReason = (typeof reportReasons)[number];

export interface Report {
  /** From {@link newReportId}. A report that is sent again under its id is stored once. */
  readonly id: string;
  readonly about: string;
  readonly reason: ReportReason;
  readonly comment: string;
  /** The conversation of the messages, and their keys. */
  readonly conversation: string;
  readonly keys: readonly string[];
}

/** Returns the id of a new report. */
export function newReportId({ platform }: Pick<LateParts, "platform">): string {
  return Array.from(platform.random.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Reports a person, with copies of messages as they are on this device. Messages that have gone are left out. */
export function sendReport(parts: LateParts, report: Report): Promise<Outcome> {
  return outcome(async () => {
    const rows = await parts.store.read((tx) =>
      Promise.all(report.keys.map((key) => tx.message(report.conversation, key))),
    );
    const messages = rows.flatMap((row) =>
      row && row.at !== null && row.body !== "" ? [{ from: row.from, id: row.id, at: row.at, body: row.body }] : [],
    );
    const { id, about, reason, comment } = report;
    await parts.http.answer({ method: "POST", path: "me/reports", body: { id, about, reason, comment, messages } });
  });
}

/** A warning by an operator. */
export interface Warning {
  /** Identifies it. */
  readonly at: number;
  /** "" for one that this version does not know. */
  readonly reason: ReportReason | "";
}

/** Returns the warning that the user has not confirmed yet, or null. */
export function readWarning(parts: LateParts): Promise<Outcome<Warning | null>> {
  return outcome(async () => {
    return await parts.http.read({ method: "GET", path: "me" }, (answer) => {
      const own = new Fields("profile", answer);
      if (!own.has("warning")) return null;
      const warning = own.object("warning");
      const reason = warning.text("reason");
      return { at: warning.integer("at"), reason: reportReasons.find((known) => known === reason) ?? "" };
    });
  });
}

/** Confirms that the user has read the warning, for all devices. */
export function confirmWarning(parts: LateParts, { at }: Warning): Promise<Outcome> {
  return outcome(async () => {
    await parts.http.answer({ method: "DELETE", path: "me/warning", body: { at } });
    await parts.reload();
  });
}
