/**
 * Registers this browser for pushes, and keeps that true: at the start, whenever something has changed, and at least once
 * a week. Loaded once notifications are allowed.
 *
 * The registration is a row of the user's database, so a sign-out deletes it. The server ends it with the sign-in.
 */
import { CONFIG_NOTE } from "../../net/config";
import { SIGN_IN_NOTE } from "../../net/passwordIdentity";
import { ApiProblem } from "../../net/problem";
import { deletePush, pushDevices, pushKey, putPush, testPush } from "../../net/push";
import { PUSHED_NOTE } from "../../platform/notify";
import type { Cancel, Push } from "../../platform/platform";
import { browserPush } from "../../platform/push";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";
import type { PushRow } from "../store/rows";
import { closeRead } from "./notice";
import { localZone, noteQuiet, noteSound, NO_QUIET, type Quiet, quietOf, type Sound, soundOf } from "./quiet";

/** `failed`: the push service or the server refused, or cannot be reached. */
export type PushState = "unsupported" | "off" | "pending" | "on" | "failed";

/** The server wants to hear of a subscription once a week. */
const REPEAT_MS = 6 * 24 * 3_600_000;
/** A browser that refuses is not asked again sooner than this, unless the user wants it. */
const RETRY_MS = 10 * 60_000;

/** The delay between a change of the quiet hours and the call that sends it: each digit that is typed is a change. */
const TELL_AFTER_MS = 1_000;

/** How often a test is asked for that the user has not asked for. It shows a notification. */
const TEST_EVERY_MS = 24 * 3_600_000;

/** How long changes are gathered before notifications are closed. */
const CLOSE_AFTER_MS = 500;

export const NO_PUSH: PushRow = {
  name: "push",
  endpoint: "",
  key: "",
  preview: true,
  quiet: NO_QUIET,
  zone: "",
  silent: false,
  at: 0,
  signIn: "",
  config: "",
};

export class PushRegistration {
  private readonly parts: LateParts;
  private readonly push: Push | null;
  private readonly value: Value<PushState>;
  private readonly previewValue = new Value(true);
  private readonly quietValue: Value<Quiet>;
  private readonly soundValue: Value<Sound>;
  private readonly provedValue = new Value(false);
  private readonly cancels: (() => void)[] = [];
  /** The last piece of work. They run one after another. */
  private last: Promise<void> = Promise.resolve();
  private wanted = false;
  /** That of the subscription that this page knows to be the user's. */
  private endpoint = "";
  private closing: Cancel | null = null;
  private telling: Cancel | null = null;
  private failedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: LateParts, push: Push | null = browserPush()) {
    this.parts = parts;
    this.push = push;
    this.value = new Value<PushState>(push ? "off" : "unsupported");
    const { platform } = parts;
    this.quietValue = new Value(quietOf(platform.notes));
    this.soundValue = new Value(soundOf(platform.notes));
    // The worker needs the present sign-in once no page is used.
    this.cancels.push(platform.page.onVisible((visible) => void (visible || this.keep())));
    this.cancels.push(
      parts.store.onChange((change) => {
        this.closeLater();
        // The worker stores that a test has come, and a subscription that replaces another one.
        if (change.all || change.meta.includes("push")) this.readProof();
      }),
      () => this.closing?.(),
      () => this.telling?.(),
    );
    parts.onStop(() => this.stop());
    this.closeLater();
    this.readProof();
    this.read().then(
      ({ row }) => this.previewValue.set(row.preview),
      (err: unknown) => platform.report("the registration for pushes could not be read", err),
    );
  }

  get state(): Readable<PushState> {
    return this.value;
  }

  /** Whether pushes have the text of messages. */
  get preview(): Readable<boolean> {
    return this.previewValue;
  }

  /** When this browser does not want notifications. */
  get quiet(): Readable<Quiet> {
    return this.quietValue;
  }

  get sound(): Readable<Sound> {
    return this.soundValue;
  }

  /** Whether a test has reached this browser through its present subscription. */
  get proved(): Readable<boolean> {
    return this.provedValue;
  }

  /** Registers this browser. `asked`: the user has just asked for it, so an earlier failure does not count. */
  turnOn(asked: boolean): Promise<void> {
    this.wanted = true;
    if (asked) this.failedAt = Number.NEGATIVE_INFINITY;
    return this.keep();
  }

  /** Makes the registration true if pushes are wanted. Never rejects. */
  keep(): Promise<void> {
    return this.run(async (push) => {
      const { clock } = this.parts.platform;
      if (!this.wanted || Math.abs(clock.monotonic() - this.failedAt) < RETRY_MS) return;
      if (this.value.get() !== "on") this.value.set("pending");
      await this.register(push);
      this.failedAt = Number.NEGATIVE_INFINITY;
      this.value.set("on");
      const { row } = await this.read();
      if (row.proved !== row.endpoint && Math.abs(clock.now() - (row.tested ?? 0)) > TEST_EVERY_MS) {
        await this.store({ ...row, tested: clock.now() });
        void this.test();
      }
    });
  }

  /** Makes the server send a test, which the worker shows. Returns false if that failed. Never rejects. */
  async test(): Promise<boolean> {
    const { http, platform } = this.parts;
    try {
      await testPush(http, (await this.read()).device);
      return true;
    } catch (err) {
      platform.report("no test could be sent", err);
      if (err instanceof ApiProblem && err.status === 404) await this.lost();
      return false;
    }
  }

  /**
   * Checks that pushes still come. `received`: messages have come without one, so the server is asked, too. Otherwise a
   * device that sleeps would miss the end of its subscription. Never rejects.
   */
  async verify(received: boolean): Promise<void> {
    const { http, platform } = this.parts;
    try {
      const { row, device } = await this.read();
      if (row.endpoint === "" || row.proved !== row.endpoint) return;
      const kept =
        platform.notifier.permission() === "granted" &&
        (await this.push?.subscription())?.endpoint === row.endpoint &&
        (!received || (await pushDevices(http)).includes(device));
      if (!kept) await this.lost();
    } catch (err) {
      platform.report("the registration for pushes could not be verified", err);
    }
  }

  /** The subscription, or its registration, does not exist any more. The next attempt to keep it makes another one. */
  private lost(): Promise<void> {
    return this.run(async () => this.store({ ...(await this.read()).row, at: 0, proved: "", tested: 0 }));
  }

  private readProof(): void {
    this.read().then(
      ({ row }) => this.provedValue.set(row.endpoint !== "" && row.proved === row.endpoint),
      (err: unknown) => this.parts.platform.report("the registration for pushes could not be read", err),
    );
  }

  /** Ends the registration. Never rejects. */
  turnOff(): Promise<void> {
    this.wanted = false;
    return this.run(async (push) => {
      const { platform, http } = this.parts;
      platform.notes.remove(PUSHED_NOTE);
      await push.unsubscribe();
      this.value.set("off");
      const { row, device } = await this.read();
      await this.store({ ...NO_PUSH, preview: row.preview });
      // If this fails, the push service has forgotten the subscription all the same, so the server will forget it.
      if (row.endpoint !== "") await deletePush(http, device);
    });
  }

  /** Chooses whether pushes have the text of messages. */
  async showText(preview: boolean): Promise<void> {
    this.previewValue.set(preview);
    await this.choose({ preview, at: 0 });
  }

  async setQuiet(quiet: Quiet): Promise<void> {
    noteQuiet(this.parts.platform.notes, quiet);
    this.quietValue.set(quiet);
    await this.choose({ quiet, at: 0 }, TELL_AFTER_MS);
  }

  async setSound(sound: Sound): Promise<void> {
    noteSound(this.parts.platform.notes, sound);
    this.soundValue.set(sound);
    await this.choose({ silent: sound === "none" });
  }

  /**
   * Stores a choice for the service worker. A change that sets `at` to 0 is also sent to the server, `afterMs` later. If
   * that fails, the next registration sends it.
   */
  private async choose(change: Partial<PushRow>, afterMs = 0): Promise<void> {
    await this.run(async () => this.store({ ...(await this.read()).row, ...change }));
    if (afterMs === 0) await this.keep();
    else this.keepIn(afterMs);
  }

  private keepIn(ms: number): void {
    this.telling?.();
    this.telling = this.parts.platform.clock.after(ms, () => void this.keep());
  }

  /** The sign-in has ended, or another account took over. The server ends the registration with the sign-in. */
  private stop(): void {
    this.wanted = false;
    for (const cancel of this.cancels) cancel();
    void this.run(async (push) => {
      if (this.endpoint !== "" && (await push.subscription())?.endpoint === this.endpoint) await push.unsubscribe();
    });
  }

  /** Closes the notifications of messages that were read, a moment after something has changed. */
  private closeLater(): void {
    this.closing ??= this.parts.platform.clock.after(CLOSE_AFTER_MS, () => {
      this.closing = null;
      void this.run(async (push) => closeRead(push, this.parts.store, this.parts.uid));
    });
  }

  private async register(push: Push): Promise<void> {
    const { http, platform } = this.parts;
    const { row, device } = await this.read();
    const signIn = platform.notes.get(SIGN_IN_NOTE) ?? "";
    // The engine stores the id before it connects.
    if (device === "" || signIn === "") return;
    let { key } = row;
    let subscription = await push.subscription();
    // A subscription that is not in the row was made for another account of this browser, which must not get our pushes.
    if (
      !subscription ||
      subscription.endpoint !== row.endpoint ||
      (subscription.key !== "" && subscription.key !== key)
    ) {
      key = await pushKey(http);
      subscription = await push.subscribe(key);
    }
    this.endpoint = subscription.endpoint;
    const now = platform.clock.now();
    const known = row.endpoint === subscription.endpoint && sameSignIn(row.signIn, signIn);
    const preview = this.previewValue.get();
    const quiet = quietOf(platform.notes);
    const zone = quiet.from === quiet.to ? "" : localZone();
    // A row whose `at` is 0 has a choice that the server does not know.
    const due = !known || row.at === 0 || Math.abs(now - row.at) > REPEAT_MS || row.zone !== zone;
    if (!this.wanted) return;
    try {
      if (due) await putPush(http, device, subscription, { preview, quiet, zone });
    } catch (err) {
      if (!known || !(err instanceof ApiProblem) || err.code !== "rate_limited") throw err;
      // Pushes come as before. The server learns of the choices later.
      this.keepIn(err.retryAfterMs ?? RETRY_MS);
      return;
    }
    const config = platform.notes.get(CONFIG_NOTE) ?? "";
    if (due || row.signIn !== signIn || row.config !== config)
      await this.store({
        ...row,
        endpoint: subscription.endpoint,
        key,
        preview,
        quiet,
        zone,
        silent: soundOf(platform.notes) === "none",
        at: due ? now : row.at,
        signIn,
        config,
      });
    platform.notes.set(PUSHED_NOTE, this.parts.uid);
  }

  private async read(): Promise<{ readonly row: PushRow; readonly device: string }> {
    return await this.parts.store.read(async (tx) => ({
      row: (await tx.meta("push")) ?? NO_PUSH,
      device: (await tx.meta("device"))?.id ?? "",
    }));
  }

  private async store(row: PushRow): Promise<void> {
    const stored = await this.parts.change(async (tx) => {
      const now = await tx.meta("push");
      // The worker may have stored a proof meanwhile.
      const proved = row.proved === "" ? "" : (now?.proved ?? "");
      await tx.putMeta({ ...row, proved });
    });
    if (!stored.ok) throw new Error(`the registration could not be stored: ${stored.problem.code}`);
  }

  /** Runs `work` after what runs now. A failure becomes the state. */
  private run(work: (push: Push) => Promise<void>): Promise<void> {
    this.last = this.last.then(async () => {
      if (!this.push) return;
      try {
        await work(this.push);
      } catch (err) {
        this.parts.platform.report("the registration for pushes has failed", err);
        if (!this.wanted) return;
        this.failedAt = this.parts.platform.clock.monotonic();
        this.value.set("failed");
      }
    });
    return this.last;
  }
}

/** Whether two notes are about one sign-in. Its refresh token stays, while its ID tokens change every hour. */
function sameSignIn(a: string, b: string): boolean {
  return refreshToken(a) === refreshToken(b);
}

function refreshToken(note: string): unknown {
  try {
    return (JSON.parse(note) as { refreshToken?: unknown } | null)?.refreshToken;
  } catch {
    return note;
  }
}
