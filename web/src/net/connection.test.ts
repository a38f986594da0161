import { beforeEach, describe, expect, test } from "vitest";
import type { ServerFrame } from "../protocol/frames";
import { FakeClock } from "../platform/testing/clock";
import { FakePlatform, type FakeSocket, settle } from "../platform/testing/fake";
import { Connection, type ConnectionState, SignInEnded, type Token } from "./connection";
import type { Link } from "./link";

const LIMITS = { body: 8000, frame: 65536, unacked: 256, ahead_ms: 5000, max_age_ms: 2592000000, watch: 100 };
const HOUR = 3_600_000;

let clock: FakeClock;
let platform: FakePlatform;
let states: ConnectionState[];
let frames: ServerFrame[];
let live: Link[];
let endedLinks: Link[];
let unreadable: number;
let ended: string[];
/** The refused tokens that the connection has named. */
let asked: (string | null)[];
/** For each attempt, whether the last handshake had failed. */
let handshakes: boolean[];
let token: (refused: string | null) => Promise<Token>;
let jitter: number;
let connection: Connection;

beforeEach(() => {
  clock = new FakeClock(1_795_348_800_000, settle);
  jitter = 0.5;
  platform = new FakePlatform({ clock, random: () => jitter });
  [states, frames, live, endedLinks, ended, asked, handshakes] = [[], [], [], [], [], [], []];
  unreadable = 0;
  token = async () => ({ value: `t${asked.length}`, endsAt: clock.now() + HOUR });
  connection = new Connection(
    platform,
    {
      url: async (failed) => {
        handshakes.push(failed);
        return "wss://chat.test/ws";
      },
      token: (refused) => {
        asked.push(refused);
        return token(refused);
      },
      hello: () => ({ device: "d", cursor: "c" }),
    },
    {
      onState: (s) => states.push(s),
      onFrame: (_, f) => frames.push(f),
      onUnreadable: () => unreadable++,
      onLive: (l) => live.push(l),
      onEnded: (l) => endedLinks.push(l),
      onSignInEnded: (r) => ended.push(r),
    },
  );
});

const last = (): FakeSocket => {
  const socket = platform.opened[platform.opened.length - 1];
  if (!socket) throw new Error("no socket was opened");
  return socket;
};
const sent = (socket: FakeSocket): Record<string, unknown>[] =>
  socket.sent.map((t) => JSON.parse(t) as Record<string, unknown>);
const welcome = { type: "welcome", uid: "u", now: 1_795_348_800_000_000, resumed: true, limits: LIMITS };

async function connected(): Promise<FakeSocket> {
  connection.start();
  await clock.advance(0);
  return greet(last());
}

/** Makes the server answer pings. */
function answering(socket: FakeSocket): FakeSocket {
  socket.onSent = (text) => {
    if (text.includes('"ping"')) socket.deliver({ type: "pong" });
  };
  return socket;
}

async function greet(socket: FakeSocket): Promise<FakeSocket> {
  socket.accept();
  socket.deliver(welcome);
  socket.deliver({ type: "caught_up", cursor: "e:1-0" });
  await clock.advance(0);
  return socket;
}

describe("a connection", () => {
  test("sends hello first, with the protocol's name, and is live when it has caught up", async () => {
    const socket = await connected();
    expect(socket.protocol).toBe("chat.v1");
    expect(sent(socket)).toEqual([{ type: "hello", token: "t1", device: "d", cursor: "c" }]);
    expect(states.map((s) => s.state)).toEqual(["connecting", "live"]);
    expect(frames.map((f) => f.type)).toEqual(["welcome", "caught_up"]);
    expect(live.length).toBe(1);
  });

  test("waits with full jitter: up to 500 ms, doubling up to 30 s, and starts over after a stable link", async () => {
    connection.start();
    await clock.advance(0);
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      last().drop(1006);
      await clock.advance(0);
      const state = states[states.length - 1];
      if (state?.state !== "waiting") throw new Error(`the state is ${state?.state}`);
      waits.push(state.until - clock.now());
      await clock.advance(state.until - clock.now());
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
    await greet(last());
    // A link that ends at once does not reset the backoff.
    last().drop(1006);
    expect(states[states.length - 1]).toEqual({ state: "waiting", until: clock.now() + 15000 });
    await clock.advance(15000);
    await greet(last());
    await clock.advance(10_000);
    last().drop(1006);
    expect(states[states.length - 1]).toEqual({ state: "waiting", until: clock.now() + 250 });
  });

  test("retries at once when the network comes back, when the tab becomes visible, and on request", async () => {
    connection.start();
    await clock.advance(0);
    for (const nudge of [() => platform.setOnline(true), () => platform.setVisible(true), () => connection.tryNow()]) {
      const before = platform.opened.length;
      last().drop(1006);
      await clock.advance(0);
      expect(platform.opened.length).toBe(before);
      nudge();
      await clock.advance(0);
      expect(platform.opened.length).toBe(before + 1);
      // A second nudge does not start a second attempt.
      nudge();
      await clock.advance(0);
      expect(platform.opened.length).toBe(before + 1);
    }
  });

  test("drops a link whose server does not answer the hello", async () => {
    connection.start();
    await clock.advance(0);
    last().accept();
    await clock.advance(14_900);
    expect(platform.opened.length).toBe(1);
    await clock.advance(400);
    expect(last()).not.toBe(platform.opened[0]);
    expect(platform.opened[0]?.closedByClient).toBe(1000);
  });

  test("replaces a link on goaway before it closes it", async () => {
    const old = await connected();
    old.deliver({ type: "goaway", reason: "drain", within_ms: 6000 });
    await clock.advance(500);
    expect(platform.opened.length).toBe(2);
    expect(old.state).toBe("open");
    old.deliver({ type: "sent", id: "x", accepted_at: 5 });
    expect(frames.at(-1)?.type).toBe("sent");
    await greet(last());
    expect(old.closedByClient).toBe(1000);
    expect(live.length).toBe(2);
    expect(endedLinks).toEqual([live[0]]);
    // The user does not see the replacement.
    expect(states.map((s) => s.state)).toEqual(["connecting", "live"]);
  });

  test("keeps the old link while the new one fails, and tries again", async () => {
    const old = await connected();
    old.deliver({ type: "goaway", reason: "drain", within_ms: 6000 });
    await clock.advance(500);
    last().drop(1006);
    await clock.advance(0);
    expect(old.state).toBe("open");
    expect(states.at(-1)?.state).toBe("live");
    await clock.advance(300);
    expect(platform.opened.length).toBe(3);
    // The old link ends before the new one is live.
    old.drop(1001);
    expect(states.at(-1)?.state).toBe("connecting");
    await greet(last());
    expect(states.at(-1)?.state).toBe("live");
    expect(platform.opened.length).toBe(3);
  });

  test("tests a doubtful link, and drops one that is silent for 5 s", async () => {
    const socket = await connected();
    platform.setVisible(true);
    expect(sent(socket).at(-1)).toEqual({ type: "ping" });
    await clock.advance(4_000);
    socket.deliver({ type: "pong" });
    await clock.advance(10_000);
    expect(socket.state).toBe("open");
    platform.setVisible(true);
    await clock.advance(5_000);
    expect(socket.closedByClient).toBe(1000);
    await clock.advance(300);
    expect(platform.opened.length).toBe(2);
  });

  test("waits only 1 s for a link without a network, and keeps it if it answers", async () => {
    const socket = await connected();
    platform.setOnline(false);
    await clock.advance(900);
    socket.deliver({ type: "pong" });
    await clock.advance(10_000);
    expect(socket.state).toBe("open");
    platform.setOnline(false);
    await clock.advance(1_000);
    expect(socket.closedByClient).toBe(1000);
  });

  test("tests a link that was silent for a minute", async () => {
    const socket = await connected();
    await clock.advance(59_000);
    expect(sent(socket).length).toBe(1);
    await clock.advance(1_000);
    expect(sent(socket).at(-1)).toEqual({ type: "ping" });
  });

  test("sends a fresh token before the old one expires, and stays connected", async () => {
    const socket = answering(await connected());
    const renewals = (): Record<string, unknown>[] => sent(socket).filter((f) => f["type"] === "token");
    await clock.advance(HOUR - 9 * 60_000);
    expect(renewals()).toEqual([]);
    await clock.advance(4 * 60_000);
    expect(asked).toEqual([null, "t1"]);
    expect(renewals()).toEqual([{ type: "token", token: "t2" }]);
    expect(platform.opened).toEqual([socket]);
  });

  test("renews later if there is no token, and ends if the sign-in has ended", async () => {
    const socket = answering(await connected());
    token = async () => {
      throw new Error("no network");
    };
    await clock.advance(HOUR - 5 * 60_000);
    expect(asked.slice(0, 2)).toEqual([null, "t1"]);
    expect(socket.state).toBe("open");
    token = async () => {
      throw new SignInEnded("disabled");
    };
    await clock.advance(60_000);
    expect(ended).toEqual(["disabled"]);
    expect(socket.state).toBe("closed");
  });

  test("whose token has ended connects at once with the present one, which may be newer", async () => {
    const socket = await connected();
    // After a new password, the server may end the socket before it has read this frame.
    connection.renewToken();
    await clock.advance(0);
    socket.deliver({ type: "error", code: "token_ended", message: "x" });
    socket.drop(4401);
    await clock.advance(250);
    expect(asked).toEqual([null, null, null]);
    await greet(last());
    expect(states.at(-1)?.state).toBe("live");
    expect(ended).toEqual([]);
  });

  test("fetches another token at once when the server refuses the present one", async () => {
    const socket = await connected();
    socket.drop(4401);
    await clock.advance(250);
    last().accept();
    last().deliver({ type: "error", code: "token_ended", message: "x" });
    last().drop(4401);
    await clock.advance(1_000);
    expect(asked).toEqual([null, null, "t2"]);
    expect(sent(await greet(last()))[0]).toMatchObject({ type: "hello", token: "t3" });
    expect(states.at(-1)?.state).toBe("live");
    expect(ended).toEqual([]);
  });

  test("ends the sign-in if the server has ended it, which it also answers to a new token", async () => {
    const socket = await connected();
    socket.drop(4401);
    for (let i = 0; i < 2; i++) {
      await clock.advance(1_000);
      last().accept();
      last().deliver({ type: "error", code: "token_ended", message: "x" });
      last().drop(4401);
    }
    await clock.advance(60_000);
    expect(asked).toEqual([null, null, "t2"]);
    expect(ended).toEqual(["ended"]);
    expect(platform.opened.length).toBe(3);
  });

  test("that was signed out ends once the server says so of the present token, and not of an older socket", async () => {
    const socket = await connected();
    socket.deliver({ type: "error", code: "signed_out", message: "x" });
    socket.drop(4401);
    await clock.advance(1_000);
    expect(ended).toEqual([]);
    // Not with a fresh token, which the sign-in system may refuse.
    expect(asked).toEqual([null, null]);
    last().accept();
    last().deliver({ type: "error", code: "signed_out", message: "x" });
    last().drop(4401);
    await clock.advance(60_000);
    expect(ended).toEqual(["signed-out"]);
    expect(platform.opened.length).toBe(2);
  });

  test("does not take a token that is not accepted for an ended sign-in", async () => {
    await connected();
    for (let i = 0; i < 3; i++) {
      last().accept();
      last().deliver({ type: "error", code: "unauthenticated", message: "x" });
      last().drop(1008);
      await clock.advance(10_000);
    }
    expect(ended).toEqual([]);
    expect(platform.opened.length).toBeGreaterThan(3);
  });

  test("sends a token of a new sign-in at once, without asking for another one", async () => {
    const socket = await connected();
    connection.renewToken();
    await clock.advance(0);
    expect(asked).toEqual([null, null]);
    expect(sent(socket).at(-1)).toEqual({ type: "token", token: "t2" });
  });

  test("notes that a handshake failed, for which a page never learns the reason", async () => {
    connection.start();
    await clock.advance(0);
    last().drop(1006);
    await clock.advance(600);
    last().accept();
    last().drop(1006);
    await clock.advance(2_000);
    expect(handshakes).toEqual([false, true, false]);
  });

  describe("that the server closed for newer ones of the user", () => {
    async function replaced(code = "socket_replaced"): Promise<void> {
      const socket = await connected();
      platform.setVisible(false);
      if (code !== "") socket.deliver({ type: "error", code, message: "x" });
      socket.drop(4409);
      await clock.advance(0);
    }

    test.each([
      ["socket_replaced", 0],
      ["", 0.999],
    ] as const)("stands aside for 5 to 10 minutes, and says so (%s, %d)", async (code, unit) => {
      jitter = unit;
      await replaced(code);
      const wait = 300_000 * (1 + unit);
      expect(states.at(-1)).toEqual({ state: "waiting", until: clock.now() + wait, replaced: true });
      // Networks come and go. This is not a reason to close another device's socket.
      platform.setOnline(false);
      platform.setOnline(true);
      await clock.advance(wait - 1_000);
      expect(platform.opened.length).toBe(1);
      await clock.advance(1_000);
      expect(platform.opened.length).toBe(2);
      await greet(last());
      expect(states.at(-1)).toEqual({ state: "live" });
    });

    test("connects at once when the user looks at the page again, or asks for it", async () => {
      await replaced();
      platform.setVisible(true);
      await clock.advance(0);
      expect(platform.opened.length).toBe(2);
      const again = await greet(last());
      again.drop(4409);
      await clock.advance(1_000);
      expect(platform.opened.length).toBe(2);
      connection.tryNow();
      await clock.advance(0);
      expect(platform.opened.length).toBe(3);
    });

    test("can be started while this device stands aside", async () => {
      connection.start(clock.now() + 60_000);
      await clock.advance(59_000);
      expect(platform.opened.length).toBe(0);
      expect(states.at(-1)).toMatchObject({ state: "waiting", replaced: true });
      await clock.advance(1_000);
      expect(platform.opened.length).toBe(1);
    });

    test("keeps a link that is being made beside it", async () => {
      const old = await connected();
      old.deliver({ type: "goaway", reason: "drain", within_ms: 6000 });
      await clock.advance(500);
      old.drop(4409);
      await greet(last());
      expect(states.at(-1)).toEqual({ state: "live" });
      expect(platform.opened.length).toBe(2);
    });
  });

  test.each([
    ["account_disabled", "disabled"],
    ["account_deleted", "deleted"],
  ])("stops for good on %s", async (code, reason) => {
    const socket = await connected();
    socket.deliver({ type: "error", code, message: "x" });
    socket.drop(1008);
    await clock.advance(60_000);
    expect(ended).toEqual([reason]);
    expect(platform.opened.length).toBe(1);
    expect(states.at(-1)?.state).toBe("stopped");
  });

  test.each([
    [1008, "rate_limited", 2_000, 5_000],
    [1008, "", null, 5_000],
    [1009, "frame_too_large", null, 5_000],
    [1013, "too_many_sockets", 30_000, 30_000],
  ] as const)("after %i %s it waits before it reconnects", async (code, errorCode, retry, atLeast) => {
    const socket = await connected();
    if (errorCode !== "")
      socket.deliver({ type: "error", code: errorCode, message: "x", ...(retry ? { retry_after_ms: retry } : {}) });
    socket.drop(code);
    await clock.advance(atLeast);
    expect(platform.opened.length).toBe(1);
    await clock.advance(600);
    expect(platform.opened.length).toBe(2);
  });

  test("does not take an error that the socket survived for the reason of its end", async () => {
    const socket = answering(await connected());
    socket.deliver({ type: "error", code: "rate_limited", message: "x", retry_after_ms: 3_600_000 });
    await clock.advance(60_000);
    expect(socket.state).toBe("open");
    socket.drop(1006);
    await clock.advance(600);
    expect(platform.opened.length).toBe(2);
  });

  test("skips and reports an unreadable frame, and drops a link with many of them", async () => {
    const socket = await connected();
    socket.deliver("{");
    socket.deliver({ type: "event", cursor: "e:2-0", event: { type: "message" } });
    socket.deliver({ type: "typing", from: "v" });
    expect(unreadable).toBe(2);
    expect(frames.at(-1)?.type).toBe("typing");
    for (let i = 0; i < 30; i++) socket.deliver("nonsense");
    expect(socket.closedByClient).toBe(1000);
  });

  test("acknowledges at most every 50 ms, only the newest cursor, and before it closes", async () => {
    const socket = await connected();
    const acks = (): unknown[] =>
      sent(socket)
        .filter((f) => f["type"] === "ack")
        .map((f) => f["cursor"]);
    const [link] = live;
    link?.ack("1");
    link?.ack("2");
    link?.ack("3");
    expect(acks()).toEqual(["1"]);
    await clock.advance(50);
    expect(acks()).toEqual(["1", "3"]);
    await clock.advance(500);
    expect(acks()).toEqual(["1", "3"]);
    link?.ack("4");
    link?.ack("5");
    connection.stop();
    expect(acks()).toEqual(["1", "3", "4", "5"]);
    expect(socket.closedByClient).toBe(1000);
    link?.ack("6");
    expect(acks().length).toBe(4);
  });

  test("stops during any work, and starts again", async () => {
    connection.start();
    connection.stop();
    await clock.advance(1_000);
    expect(platform.opened.length).toBe(0);
    await connected();
    connection.stop();
    await clock.advance(60_000);
    expect(platform.opened.length).toBe(1);
    expect(clock.next()).toBeNull();
  });
});
