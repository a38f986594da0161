/** Reads the answers about reports. */
import { Fields } from "../../protocol/fields";
import type { ListedReport, ReportDetail, ReportedName, ReportState } from "../interface/admin";

const ms = (micros: number): number => Math.floor(micros / 1000);
const msOrNull = (micros: number): number | null => (micros === 0 ? null : ms(micros));
const stateOf = (text: string): ReportState => (text === "dismissed" || text === "acted" ? text : "open");

function readName(f: Fields): ReportedName {
  return {
    uid: f.text("uid"),
    username: f.textOrEmpty("username"),
    displayName: f.textOrEmpty("display_name"),
  };
}

export function readListedReport(f: Fields): ListedReport {
  return {
    id: f.text("id"),
    at: ms(f.integer("at")),
    about: readName(f.object("about")),
    reason: f.textOrEmpty("reason"),
    state: stateOf(f.textOrEmpty("state")),
    messages: f.integer("messages"),
  };
}

export function readReport(f: Fields): ReportDetail {
  const about = f.object("about");
  return {
    id: f.text("id"),
    at: ms(f.integer("at")),
    state: stateOf(f.textOrEmpty("state")),
    reason: f.textOrEmpty("reason"),
    comment: f.textOrEmpty("comment"),
    reporter: f.has("reporter") ? readName(f.object("reporter")) : null,
    about: readName(about),
    disabled: about.bool("disabled"),
    limitedUntil: msOrNull(about.integer("limited_until")),
    warnedAt: msOrNull(about.integer("warned_at")),
    messages: f.list("messages").map((entry) => {
      const copy = new Fields("message", entry);
      return {
        from: copy.text("from"),
        id: copy.text("id"),
        at: ms(copy.integer("at")),
        body: copy.textOrEmpty("body"),
        mark: copy.text("mark"),
        archive: copy.optionalText("archive"),
      };
    }),
    actions: f.list("actions").map((entry) => {
      const action = new Fields("action", entry);
      return {
        at: ms(action.integer("at")),
        byName: action.textOrEmpty("by_name"),
        action: action.text("action"),
        days: action.optionalInteger("days") ?? 0,
      };
    }),
    others: f.list("others").map((entry) => readListedReport(new Fields("report", entry))),
    moreOthers: f.bool("more_others"),
  };
}
