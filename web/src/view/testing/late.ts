/** The directory and the pictures of the fake model. */
import type { LateParts } from "../../model/interface/late";
import { type Me, Outdated, type User } from "../../model";
import { Value } from "../../model/observable";
import { outcome } from "../../model/outcome";
import type { FakeChoices } from "./choices";
import { changePassword, factor, proof, recoveryCodes, removeFactor } from "./factor";
import { number, params, wait } from "./options";
import type { FakeStore } from "./store";

/** The reports and confirmations that the fake server has received. Tests look at them. */
const reported: { method: string; path: string; body: unknown }[] = [];
Object.assign(window, { reported });
const warning = { at: 5_000_000, reason: "spam" };

/** The user's privacy on the fake server. With ?privacy=fail, changes fail; with ?privacy=unread, reading fails. */
let privacy: unknown = { last_seen: "everyone", read_receipts: true, writers: "everyone", findable: "everyone" };
function answerPrivacy(method: string, content: unknown): string {
  const how = params.get("privacy");
  if (how === "unread" || (how === "fail" && method === "PUT")) throw new Outdated();
  if (method === "PUT") privacy = content;
  const { on, codes } = factor;
  return JSON.stringify(method === "PUT" ? privacy : { warning, privacy, second_factor: on, recovery_codes: codes });
}

/** The registrations for pushes that the fake server has received. Tests look at them. */
const registered: string[] = [];
Object.assign(window, { registered });

/** The pictures that the fake server has received, by version. Tests look at them. */
const received = new Map<string, Blob>();
Object.assign(window, { received });

async function drawn(): Promise<Blob> {
  const canvas = new OffscreenCanvas(256, 256);
  const context = canvas.getContext("2d");
  if (context) {
    context.fillStyle = "#7a9e7e";
    context.fillRect(0, 0, 256, 256);
    context.fillStyle = "#f2e3c6";
    context.arc(128, 128, 70, 0, 7);
    context.fill();
  }
  return canvas.convertToBlob({ type: "image/webp" });
}

export const clock: LateParts["platform"]["clock"] = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

export const page = {
  origin: `${location.origin}/`,
  visible: () => document.visibilityState === "visible",
  focused: () => document.hasFocus(),
  onVisible(run: (visible: boolean) => void) {
    const listen = (): void => run(page.visible());
    document.addEventListener("visibilitychange", listen);
    return () => document.removeEventListener("visibilitychange", listen);
  },
  onFocused(run: () => void) {
    addEventListener("focus", run);
    return () => removeEventListener("focus", run);
  },
  onOnline: () => () => undefined,
};

export const random = { unit: () => 0, bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };

export const notes = {
  get: (key: string) =>
    key === "phoenix.sign-in"
      ? "{}"
      : key === "phoenix.config" && params.has("mailbox")
        ? JSON.stringify({ local_mails: "/mails" })
        : localStorage.getItem(key),
  set: (key: string, value: string) => localStorage.setItem(key, value),
  remove: (key: string) => localStorage.removeItem(key),
};

/** Where the fake user is signed in. Times in µs. */
const ago = (hours: number): number => (Date.now() - hours * 3_600_000) * 1000;
let devices = [
  {
    id: "3",
    first_at: ago(0.1),
    last_at: ago(0.1),
    this: false,
    browser: "Safari",
    system: "iPhone",
    place: "Zurich, CH",
  },
  { id: "2", first_at: ago(30), last_at: ago(0.1), this: true, browser: "Firefox", system: "Linux" },
  { id: "1", first_at: ago(300), last_at: ago(80), this: false },
];
export function lateParts(
  me: Value<Me>,
  people: readonly User[],
  conversations: LateParts["conversations"],
  connection: LateParts["connection"],
  store: FakeStore,
  choices: FakeChoices,
): LateParts {
  let version = 0;
  return {
    uid: me.get().uid,
    database: "fake",
    store: Object.assign(store, { shared: false, notify: () => undefined }),
    history: store,
    conversations,
    connection,
    userOf: (uid, user) => ({ ...user, uid }),
    platform: {
      clock,
      page,
      notes,
      random,
      notifier: { permission: () => "granted" },
      // A page that works alone never sleeps.
      tabs: {
        supported: false,
        channel: () => ({ post: () => undefined, close: () => undefined }),
        lock: () => () => undefined,
      },
      report: (what, why) => params.has("quiet") || console.error(what, why),
    },
    tabs: {
      tab: "1",
      name: "fake",
      leading: new Value(true),
      connection: new Value({ state: "live" }),
      start: () => undefined,
      stop: () => undefined,
      read: () => null,
    },
    presences: { markUnknown: () => undefined },
    archive: {
      saved: async () => [],
      async users(query, cursor) {
        await wait(number("latency", 200));
        const size = number("page", 30);
        const start = Number(cursor ?? 0);
        const hits = people.filter((p) => `${p.displayName} ${p.username}`.toLowerCase().includes(query.toLowerCase()));
        return {
          items: hits.slice(start, start + size).map((p) => ({ deleted: false, admin: false, ...p })),
          next: start + size < hits.length ? String(start + size) : null,
        };
      },
    },
    http: {
      async read(call, read) {
        return read(JSON.parse((await this.answer(call)).body));
      },
      async answer({ method, path, body: content, blob: sent }) {
        await wait(number("latency", 200));
        if (path.startsWith("me/push")) {
          if (method !== "GET") registered.push(`${method} ${JSON.stringify(content)}`);
          return { status: 200, header: () => null, body: JSON.stringify({ public_key: "AAAA", devices: [] }) };
        }
        if (path === "me/reports" && params.get("reports") === "fail") throw new Outdated();
        if (path === "me/reports" || path === "me/warning") reported.push({ method, path, body: content });
        if (path === "me/warning") me.update((now) => ({ ...now, warned: false }));
        if (path === "me" || path === "me/privacy")
          return { status: 200, header: () => null, body: answerPrivacy(method, content) };
        if (path === "me/reports" || path === "me/warning") return { status: 204, header: () => null, body: "" };
        if (path === "me/recovery-codes")
          return { status: 200, header: () => null, body: JSON.stringify({ codes: recoveryCodes() }) };
        if (path === "me/second-factor") {
          removeFactor();
          return { status: 200, header: () => null, body: "{}" };
        }
        if (path === "me/password") changePassword((content as { readonly password: string }).password);
        if (method === "DELETE" && path === "me/devices") devices = devices.filter((d) => d.this);
        const device = /^me\/devices\/(.+)$/.exec(path)?.[1];
        if (device !== undefined) devices = devices.filter((d) => d.id !== device);
        if (path.startsWith("me/devices"))
          return { status: 200, header: () => null, body: JSON.stringify({ devices }), blob: new Blob() };
        let blob = new Blob();
        if (method === "GET") blob = received.get(path.split("/").at(-1) ?? "") ?? (await drawn());
        else {
          const picture = sent ? `mine${++version}` : "";
          if (sent) received.set(picture, sent);
          me.update((now) => ({ ...now, picture }));
        }
        return { status: 200, header: () => null, body: "", blob };
      },
    },
    found: () => undefined,
    change: choices.change,
    confirm: proof,
    async renew(replace) {
      return await outcome(async () => void (await replace()));
    },
    reload: async () => undefined,
    moreConversations: async () => undefined,
    onStop: () => undefined,
  };
}
