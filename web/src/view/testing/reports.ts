/** The reports of the fake model. */
import type { Outcome } from "../../model";
import { ok, refused } from "./options";

const at = (hours: number): number => (Date.now() - hours * 3_600_000) * 1000;
const person = (uid: string, username: string, display_name: string) => ({ uid, username, display_name });
const mira = person("mira", "mira.kern", "Mira Kern");
const jonas = person("jonas", "jonas", "Jonas Ahlgren");
const all = [
  { id: "a".repeat(32), at: at(1), about: mira, reason: "spam", state: "open", messages: 3 },
  { id: "b".repeat(32), at: at(30), about: mira, reason: "abuse", state: "open", messages: 0 },
];
const actions: { at: number; by_name: string; action: string; days: number }[] = [];
let limited = 0;

const copies = [
  { from: "mira", id: "1", at: at(3), body: "Buy now, only today", mark: "same" },
  { from: "mira", id: "2", at: at(2), body: "I will find you", mark: "differs", archive: "I will find it" },
  { from: "jonas", id: "3", at: at(2), body: "Please stop", mark: "missing" },
];

/** Answers a call below /reports. */
export function reports(url: URL, body?: Readonly<Record<string, unknown>>): Outcome<unknown> {
  const [, , id, act] = url.pathname.split("/");
  if (id === undefined)
    return ok({ reports: all.filter(({ state }) => state === url.searchParams.get("state")), next: "" });
  const report = all.find((one) => one.id === id);
  if (!report) return refused("report_not_found", "");
  if (act === "act") {
    const action = String(body?.["action"]);
    const days = Number(body?.["days"]);
    if (action === "limit") limited = days === 0 ? 0 : at(-24 * days);
    report.state = action === "dismiss" ? "dismissed" : "acted";
    const names: Readonly<Record<string, string>> = { dismiss: "dismiss_report", limit: "limit_contacts" };
    actions.push({ at: at(0), by_name: "ada", action: names[action] ?? action, days });
    return ok(undefined);
  }
  return ok({
    ...report,
    comment: "They write to everybody in our class.",
    reporter: jonas,
    about: { ...mira, disabled: false, limited_until: limited, warned_at: 0 },
    messages: report.messages === 0 ? [] : copies,
    actions: report.messages === 0 ? [] : actions,
    others: all.filter((one) => one !== report),
    more_others: false,
  });
}
