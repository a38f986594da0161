/** The part of the fake model that serves the admin panel. */
import type { AdminCalls } from "../../model";
import { history, names, people } from "./people";
import { proof } from "./factor";
import { number, ok, params, refused, wait } from "./options";
import { reports } from "./reports";

const DAY = 86_400_000;
const adminUsers = Array.from({ length: number("admins", 60) }, (_, i) => {
  const base = names[i % names.length] ?? ["x", "X"];
  return {
    uid: `uid${i}aBcDeF`,
    username: base[0] + (i >= names.length ? i : ""),
    display_name: i === 5 ? "<b>bold</b> & co" : i === 6 ? "Lena of the very long name of the very long name" : base[1],
    email: `${base[0]}${i}@example.org`,
    email_verified: i % 4 !== 2,
    admin: i === 0 || i === 7,
    disabled: i === 3 || i === 7,
    deleting: i === 9,
    created_at: (Date.now() - i * DAY) * 1000,
    last_active_at: i % 5 === 4 ? 0 : (Date.now() - i * 7_000_000) * 1000,
  };
});
const deadLetters = Array.from({ length: number("dead-letters", 3) }, (_, i) => ({
  id: `dead-letter-${i}`,
  at: (Date.now() - i * 5_000_000) * 1000,
  reason: ['entry 2: field "at" is missing', "not JSON", "message id is not a UUIDv7"][i % 3],
  data: i === 1 ? "garbage" : JSON.stringify({ v: 1, delivered: [{ id: "x", body: "e".repeat(300) }] }),
  encoding: "text",
}));
/** The option "again": the server requires a new sign-in before the first call, or once more before changes. */
let confirmed = !params.has("again");
let polls = 0;

export const adminCalls: AdminCalls = {
  async confirm(...given) {
    const proved = await proof(...given);
    confirmed ||= proved.ok;
    return proved;
  },
  async call(method, path, body) {
    await wait(number("latency", 200));
    if (path === "/figures") Object.assign(globalThis, { figuresRequested: ++polls });
    if (params.get("panel") === "factor") return refused("second_factor_required", "");
    if (!confirmed && (params.get("again") !== "changes" || method !== "GET"))
      return refused("sign_in_again", "Sign in again to do this.");
    const url = new URL(path, "http://x");
    if (params.get("fails") === url.pathname)
      return refused("unavailable", "The chat is not available right now. Try again in a moment.");
    const uid = url.pathname.split("/")[2];
    const user = adminUsers.find((u) => u.uid === uid);
    if (method === "GET" && url.pathname === "/users") {
      const q = (url.searchParams.get("q") ?? "").toLowerCase();
      const at = Number(url.searchParams.get("cursor") ?? 0);
      const hits = adminUsers.filter((u) => JSON.stringify(u).toLowerCase().includes(q));
      return ok({ users: hits.slice(at, at + 25), next: at + 25 < hits.length ? String(at + 25) : "" });
    }
    if (method === "PATCH" && user) {
      if (body?.["admin"] === false && user.uid === "uid0aBcDeF")
        return refused("last_admin", "This is the last admin. Make another person admin first.");
      return ok(Object.assign(user, body));
    }
    if (method === "POST" && url.pathname === "/users")
      return refused("invalid_fields", "See the fields.", {
        username: "username_reserved",
        email: "email_invalid",
        password: "password_short",
      });
    if (url.pathname.endsWith("/conversations"))
      return ok({
        conversations: people.slice(0, number("conversations", 6)).map((p, i) => ({
          id: `c${i}`,
          with: { uid: p.uid, username: p.username, display_name: p.displayName, created_at: 0 },
          last_at: (Date.now() - i * DAY) * 1000,
        })),
        next: "",
      });
    if (url.pathname === "/messages")
      return ok({
        messages: history(40, 0).map((m, i) => ({
          id: m.key,
          from: m.mine ? "uid0aBcDeF" : "uid1aBcDeF",
          to: "x",
          body: i === 39 ? `averylongwordwithoutanyspace${"e".repeat(200)}` : m.body,
          at: m.time * 1000,
          accepted_at: m.time * 1000,
          delivered_at: m.time * 1000,
        })),
        next: "",
      });
    if (url.pathname === "/figures")
      return ok({
        at: Date.now() * 1000,
        people: 1234,
        active_today: 87,
        dead_letters: deadLetters.length,
        messages_per_day: Array.from({ length: 30 }, (_, i) => ({
          day: new Date(Date.now() - (29 - i) * DAY).toISOString().slice(0, 10),
          count: Math.round(400 + 300 * Math.sin(i / 3) + i * 9),
        })),
        realtime: params.has("norealtime")
          ? null
          : {
              sockets: { "realtime-00012-abc/7f3": 812, "realtime-00012-abc/9d1": 634 },
              queued: 42,
              oldest_age_ms: 93_000_000,
              complete: true,
            },
      });
    if (url.pathname === "/dead-letters" && method === "GET")
      return ok({ dead_letters: deadLetters, next: "", complete: !params.has("incomplete") });
    if (url.pathname === "/dead-letters/replay") return ok({ replayed: 3, left: 0 });
    if (url.pathname.startsWith("/reports")) return reports(url, body);
    if (url.pathname === "/audit")
      return ok({
        entries: Array.from({ length: 30 }, (_, i) => ({
          id: `a${i}`,
          at: (Date.now() - i * 3_000_000) * 1000,
          by: "meAbC",
          by_name: "ada",
          action: ["disable", "read_messages", "rename", "export_people", "odd_new_action"][i % 5],
          on: "uid3",
          on_name: ["tomasz", "mira.kern, jonas", "ben", "", "x"][i % 5],
          reason: [
            "Sends advertising to strangers, after two warnings",
            `A reason that goes on and on, ${"word after word, ".repeat(6)}and ends`,
            "<i>why</i>",
            "",
            "",
          ][i % 5],
          outcome: i === 2 ? "failed: username_taken" : "",
        })),
        next: "",
      });
    return ok(undefined);
  },
  async download() {
    await wait(300);
    return ok(new Blob(["a,b\n"]));
  },
};
