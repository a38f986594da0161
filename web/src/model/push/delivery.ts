/**
 * The service worker's part: shows what a push is about, then fetches, stores and acknowledges what waits, so that the
 * sender sees "delivered" and the next page needs no network. It runs while no page of this browser may be open.
 */
import { ArchiveApi } from "../../net/archive";
import { CONFIG_NOTE, ConfigSource } from "../../net/config";
import { HttpApi } from "../../net/http";
import type { IdentityFactory } from "../../net/identity";
import { SIGN_IN_NOTE } from "../../net/passwordIdentity";
import { putPush } from "../../net/push";
import type { Blobs } from "../../platform/blobs";
import type { Cancel, Notes, Platform, Push } from "../../platform/platform";
import { contextOf } from "../engine/ports";
import { Visit } from "../engine/visit";
import { ServerLimits } from "../limits";
import { applyUser } from "../store/history";
import type { PushRow } from "../store/rows";
import { databaseName, LocalStore } from "../store/store";
import { tabsName } from "../tabs/roles";
import { readTabMessage, type TabMessage } from "../tabs/messages";
import { ServerTime } from "../time";
import { isQuiet } from "./quiet";
import { proveWith, readTest } from "./test";
import { closeRead, countUnread, type NoticeTexts, type PushedMessages, readPush, shownFor } from "./notice";

/** A browser gives a push about 30 s. This leaves time to close the socket and the notifications. */
const VISIT_MS = 20_000;
/** How long the database may take before a notification is shown without it. */
const OPEN_MS = 2_000;
/** As in ../tabs/leader: a leader that does not answer for this long counts as frozen. */
const SILENCE_MS = 1_000;

export interface DeliveryParts {
  /** The platform of a worker, whose notes are `notes`. */
  platform(notes: Notes): Platform;
  readonly push: Push;
  readonly texts: NoticeTexts;
  identity(platform: Platform, config: ConfigSource): ReturnType<IdentityFactory>;
  /** The pictures that are kept with a database. */
  blobs(database: string): Blobs;
  /** Whether the user works with a page of this browser. */
  focused(): Promise<boolean>;
  /** The names of the databases of this browser. */
  databases(): Promise<readonly string[]>;
  /** Returns the lock with this name, or null if it is held. `onLost`: another tab stole it. */
  lockIfFree(name: string, onLost: () => void): Promise<Cancel | null>;
}

/** A user who is signed in, with the notes that a page has left. */
interface Signed {
  readonly uid: string;
  readonly row: PushRow;
  readonly notes: Map<string, string>;
  readonly platform: Platform;
  readonly store: LocalStore;
}

/** Opens the user's data. Returns null if they are not signed in here, or get no pushes here. */
async function open(parts: DeliveryParts, uid: string): Promise<Signed | null> {
  const notes = new Map<string, string>();
  const platform = parts.platform({
    get: (key) => notes.get(key) ?? null,
    set: (key, value) => void notes.set(key, value),
    remove: (key) => void notes.delete(key),
  });
  if (!(await parts.databases()).includes(databaseName(uid))) return null;
  const store = await LocalStore.open(platform, uid);
  const row = await store.read((tx) => tx.meta("push")).catch(() => undefined);
  if (!row || row.endpoint === "") {
    store.close();
    return null;
  }
  notes.set(SIGN_IN_NOTE, row.signIn).set(CONFIG_NOTE, row.config);
  return { uid, row, notes, platform, store };
}

/** Handles a push. Always shows a notification, since browsers end subscriptions whose pushes show none. Never rejects. */
export async function deliver(parts: DeliveryParts, content: string | null): Promise<void> {
  const base = parts.platform(NO_NOTES);
  const pushed = readPush(content);
  const tested = readTest(content);
  const to = pushed?.to ?? tested;
  let signed: Signed | null = null;
  let shown = false;
  try {
    const opened = to === null ? null : open(parts, to);
    const found = await Promise.race([opened, later(base, OPEN_MS, "silent" as const)]);
    if (found === "silent") void opened?.then((late) => late?.store.close());
    else signed = found;
    // Another account of this browser may have the subscription meanwhile.
    const mine = signed && (await parts.push.subscription())?.endpoint === signed.row.endpoint;
    shown = true;
    if (signed && mine && tested !== null) {
      const stop = announce(signed);
      await proveWith(parts.push, signed.store, { account: tested, title: parts.texts.app, body: parts.texts.test });
      stop();
      return;
    }
    if (!pushed || !signed || !mine) {
      await showNeutral(parts, found !== "silent");
      return;
    }
    await show(parts, signed, pushed);
    if (await parts.focused()) {
      for (const notice of await parts.push.shown()) if (notice.tag === pushed.from) notice.close();
      return;
    }
    await fetchWaiting(parts, signed, pushed);
    await closeRead(parts.push, signed.store, signed.uid);
    const now = new ServerTime(signed.platform.clock).now();
    signed.platform.notifier.badge(await signed.store.read((tx) => countUnread(tx, now)));
  } catch (err) {
    base.report("a push could not be delivered", err);
    if (!shown) await showNeutral(parts, false).catch(() => undefined);
  } finally {
    signed?.store.close();
  }
}

const NO_NOTES: Notes = { get: () => null, set: () => undefined, remove: () => undefined };

function later<T>(platform: Platform, ms: number, value: T): Promise<T> {
  return new Promise((resolve) => void platform.clock.after(ms, () => resolve(value)));
}

/** Shows that something has arrived, but not for whom. `brief`: nobody who is signed in here needs to know it. */
async function showNeutral({ push, texts }: DeliveryParts, brief: boolean): Promise<void> {
  const notice = {
    tag: "/",
    title: texts.app,
    body: texts.unseen(1),
    data: { account: "", conversation: "", keys: [] },
  };
  await push.show(notice, { picture: null, silent: brief });
  if (brief) for (const shown of await push.shown()) if (shown.tag === notice.tag) shown.close();
}

async function show(parts: DeliveryParts, signed: Signed, pushed: PushedMessages): Promise<void> {
  const { uid, store, platform, row } = signed;
  const before = (await parts.push.shown()).find(({ tag, data }) => tag === pushed.from && data.account === uid);
  const { title, body, keys, silent } = shownFor(pushed, before, parts.texts);
  // The server sends nothing in quiet hours, but a push may be late.
  const still = silent || row.silent || isQuiet(row.quiet, platform.clock.now());
  const picture = async (): Promise<Blob | null> => {
    const version = (await store.read((tx) => tx.user(pushed.from)))?.picture ?? "";
    return version === "" ? null : await parts.blobs(databaseName(uid)).get(`${pushed.from}/${version}`);
  };
  const found = await Promise.race([picture().catch(() => null), later(platform, OPEN_MS, null)]);
  await parts.push.show(
    { tag: pushed.from, title, body, data: { account: uid, conversation: pushed.conversation, keys } },
    { picture: found, silent: still },
  );
}

/** Visits the server as the leader of this browser, unless a tab that is awake leads. */
async function fetchWaiting(parts: DeliveryParts, signed: Signed, { from }: PushedMessages): Promise<void> {
  const { platform, store, uid, row, notes } = signed;
  const config = new ConfigSource(platform);
  const identity = parts.identity(platform, config);
  const time = new ServerTime(platform.clock);
  const token = (refused: string | null): ReturnType<typeof identity.token> => identity.token(refused);
  const visit = new Visit({
    platform,
    uid,
    store,
    time,
    limits: new ServerLimits(),
    token,
    url: async (failed) => {
      if (failed) config.renew();
      return (await config.get()).realtimeUrl;
    },
  });
  const leave = await lead(parts, platform, uid, store, () => visit.stop());
  if (!leave) return;
  const limit = platform.clock.after(VISIT_MS, () => visit.stop());
  try {
    await visit.run();
    if (!(await store.read((tx) => tx.user(from)))) {
      // The next page may have no network, and needs the name of a new person.
      const archive = new ArchiveApi(httpOf(platform, config, token), (what, why) => platform.report(what, why));
      const user = await archive.user(from);
      await store.write((tx) => applyUser(tx, contextOf({ uid, platform, time }), user));
    }
  } catch (err) {
    platform.report("what waits could not be fetched", err);
  } finally {
    limit();
    leave();
  }
  // The sign-in has another ID token, or has ended. A page may have left another one meanwhile.
  const signIn = notes.get(SIGN_IN_NOTE) ?? "";
  if (signIn !== row.signIn)
    await store.write(async (tx) => {
      const now = await tx.meta("push");
      if (now?.signIn === row.signIn) await tx.putMeta({ ...now, signIn });
    });
}

/** Tells the pages of this browser what is stored from now on. Returns the end of that. */
function announce({ platform, store, uid }: Pick<Signed, "platform" | "store" | "uid">): Cancel {
  const channel = platform.tabs.channel(tabsName(uid), () => undefined);
  let n = 0;
  const tab = `worker-${platform.clock.now()}`;
  const unlisten = store.onChange((change) => channel.post({ kind: "change", tab, n: ++n, change }));
  return () => {
    unlisten();
    channel.close();
  };
}

function httpOf(
  platform: Platform,
  config: ConfigSource,
  token: (refused: string | null) => ReturnType<ReturnType<IdentityFactory>["token"]>,
): HttpApi {
  return new HttpApi(platform, { base: async () => (await config.get()).apiBase, token });
}

/**
 * Becomes the leader among the tabs of the user, tells them what changes, and returns the end of that. `giveWay` is
 * called when a tab wants to lead. Returns null if a tab leads and is awake, which is told to connect. A leader that does
 * not answer is frozen and loses the lock.
 */
async function lead(
  parts: DeliveryParts,
  platform: Platform,
  uid: string,
  store: LocalStore,
  giveWay: () => void,
): Promise<Cancel | null> {
  const name = tabsName(uid);
  if (!platform.tabs.supported) return () => undefined;
  let leading = false;
  let answer: (message: TabMessage) => void = () => undefined;
  const channel = platform.tabs.channel(name, (value) => {
    const message = readTabMessage(value);
    if (!message) return;
    // Asked by a tab that the user looks at. It waits for the lock.
    if (leading && message.kind === "who-leads") giveWay();
    answer(message);
  });
  const post = (message: TabMessage): void => channel.post(message);
  let release = await parts.lockIfFree(name, giveWay);
  if (!release) {
    const answered = new Promise<boolean>((resolve) => {
      answer = ({ kind }) => kind === "state" && resolve(true);
    });
    post({ kind: "who-leads" });
    if (await Promise.race([answered, later(platform, SILENCE_MS, false)])) {
      post({ kind: "try-now" });
      channel.close();
      return null;
    }
    release = await steal(platform, name, giveWay);
  }
  leading = true;
  const unannounce = announce({ platform, store, uid });
  return () => {
    unannounce();
    release();
    channel.close();
  };
}

function steal(platform: Platform, name: string, onLost: () => void): Promise<Cancel> {
  return new Promise((resolve) => {
    const release = platform.tabs.lock(name, true, {
      onHeld: () => resolve(release),
      onLost: () => {
        resolve(() => undefined);
        onLost();
      },
    });
  });
}

/** Registers the new subscription after the browser has replaced the old one. Never rejects. */
export async function renew(parts: DeliveryParts): Promise<void> {
  const base = parts.platform(NO_NOTES);
  try {
    let latest: Signed | null = null;
    for (const name of await parts.databases()) {
      const uid = name.slice(databaseName("").length);
      const signed = databaseName(uid) === name ? await open(parts, uid) : null;
      if (!signed) continue;
      if (latest && latest.row.at >= signed.row.at) signed.store.close();
      else {
        latest?.store.close();
        latest = signed;
      }
    }
    if (!latest) return;
    try {
      await register(parts, latest);
    } finally {
      latest.store.close();
    }
  } catch (err) {
    base.report("the subscription could not be renewed", err);
  }
}

async function register(parts: DeliveryParts, { uid, row, platform, store }: Signed): Promise<void> {
  const subscription = (await parts.push.subscription()) ?? (await parts.push.subscribe(row.key));
  if (subscription.endpoint === row.endpoint) return;
  const device = await store.read((tx) => tx.meta("device"));
  if (!device) return;
  const config = new ConfigSource(platform);
  const identity = parts.identity(platform, config);
  await putPush(
    httpOf(platform, config, (refused) => identity.token(refused)),
    device.id,
    subscription,
    row,
  );
  // A page that sleeps has to wake up, since the new subscription is not proved.
  const stop = announce({ platform, store, uid });
  await store.write(async (tx) => {
    const now = await tx.meta("push");
    if (now?.endpoint === row.endpoint)
      await tx.putMeta({ ...now, endpoint: subscription.endpoint, at: platform.clock.now() });
  });
  stop();
}
