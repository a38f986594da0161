/** One device whose server is the test itself: the test delivers each frame and reads what the device sent. */
import { messageKey } from "../../protocol/chat";
import { FakeClock } from "../../platform/testing/clock";
import { FakeBrowser, FakePlatform, type FakeOptions, type FakeSocket, settle } from "../../platform/testing/fake";
import { FakeArchive } from "./archive";
import { Device } from "./device";

export const ME = "aliceUid0001";
export const BOB = "bobUid000002";
export const CAROL = "carolUid00003";
export const CONVERSATION = `${ME}~${BOB}`;
/** When the test begins, in ms. */
export const NOW = 1_795_348_800_000;
export const LIMITS = { body: 8000, frame: 65536, unacked: 256, ahead_ms: 5000, max_age_ms: 2592000000, watch: 100 };

type Saved = Parameters<FakeArchive["save"]>[0][number];

export const id = (n: number): string =>
  `019abd70-${n.toString(16).padStart(4, "0")}-7000-8000-${n.toString(16).padStart(12, "0")}`;
export const key = (n: number, from = BOB): string => messageKey({ id: id(n), from });
export const event = (n: number, content: object): object => ({ type: "event", cursor: `e:${n}-0`, event: content });

/** The event of a message from Bob. */
export const message = (n: number, at = NOW * 1000 + n): object => ({
  type: "message",
  id: id(n),
  conversation: CONVERSATION,
  from: BOB,
  to: ME,
  body: `message ${n}`,
  at,
  accepted_at: at,
});

/** A message of the conversation with Bob, as the archive has it. */
export const saved = (n: number, at: number, from = BOB): Saved => ({
  id: id(n),
  conversation: CONVERSATION,
  from,
  to: from === BOB ? ME : BOB,
  body: `message ${n}`,
  at,
  accepted_at: at,
  delivered_at: at,
});

/** Returns the frames of one type that the device sent on a socket. */
export function sent(s: FakeSocket, type: string): Record<string, unknown>[] {
  return s.sent.map((text) => JSON.parse(text) as Record<string, unknown>).filter((f) => f["type"] === type);
}

/** Returns the texts of the messages that the device sent on a socket. */
export function bodies(s: FakeSocket): unknown[] {
  return sent(s, "send").map((f) => f["body"]);
}

export class Stage {
  readonly clock = new FakeClock(NOW, settle);
  readonly archive = new FakeArchive();
  platform: FakePlatform;
  device!: Device;
  private starts = 1;
  /** Whether the server offers changes in its next welcome. */
  changes = true;

  private constructor(open?: FakeOptions["open"]) {
    this.platform = this.process(new FakeBrowser(), open ? { open } : {});
  }

  private process(browser: FakeBrowser, options: Pick<FakeOptions, "open" | "random">): FakePlatform {
    const platform = new FakePlatform({ clock: this.clock, browser, ...options });
    platform.answer = (request) => this.archive.answer(ME, request);
    return platform;
  }

  /** Starts the device, which opens a socket. */
  static async start(open?: FakeOptions["open"]): Promise<Stage> {
    const stage = new Stage(open);
    stage.device = await Device.start(stage.platform, ME);
    await stage.clock.advance(0);
    return stage;
  }

  /** Ends the process of the device and starts another one on the same disk, with the same clock. */
  async restart(): Promise<void> {
    this.device.kill();
    const { browser, skew } = this.platform;
    let seed = ++this.starts;
    // Other numbers than before, as from a browser.
    const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
    this.platform = this.process(browser, { random });
    this.platform.skew = skew;
    this.device = await Device.start(this.platform, ME);
    await this.clock.advance(0);
  }

  /** The socket that was opened last. */
  get socket(): FakeSocket {
    const last = this.platform.opened[this.platform.opened.length - 1];
    if (!last) throw new Error("no socket was opened");
    return last;
  }

  welcome(resumed: boolean, uid = ME): object {
    return { type: "welcome", uid, now: this.clock.now() * 1000, resumed, limits: LIMITS, changes: this.changes };
  }

  /** Accepts the last socket and greets the device on it. */
  async greeted(resumed = true): Promise<FakeSocket> {
    const s = this.socket;
    s.accept();
    s.deliver(this.welcome(resumed));
    s.deliver({ type: "caught_up", cursor: "e:0-0" });
    await settle();
    return s;
  }

  /** Drops the socket and greets the device on the next one. */
  async reconnected(resumed: boolean): Promise<FakeSocket> {
    this.socket.drop(1006);
    await this.clock.advance(600);
    return await this.greeted(resumed);
  }

  answerPings(s: FakeSocket): void {
    s.onSent = (text) => {
      const frame = JSON.parse(text) as { type: string };
      if (frame.type === "ping") this.clock.after(1, () => s.deliver({ type: "pong" }));
    };
  }

  /** Accepts the message number `n` of those that were sent on a socket. */
  async accept(s: FakeSocket, n = sent(s, "send").length - 1): Promise<void> {
    s.deliver({ type: "sent", id: sent(s, "send")[n]?.["id"], accepted_at: this.clock.now() * 1000 });
    await settle();
  }

  /** Refuses the message number `n` of those that were sent on a socket, for a while or for good. */
  async refuse(s: FakeSocket, code: string, retryAfterMs?: number, n = sent(s, "send").length - 1): Promise<void> {
    s.deliver({
      type: "error",
      code,
      message: "x",
      id: sent(s, "send")[n]?.["id"],
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    });
    await settle();
  }
}
