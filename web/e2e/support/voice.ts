/**
 * A device that speaks the protocol without the client, for what the client cannot do, such as sending fifty messages a
 * second, or messages that were written days ago. It runs in an empty page of the system, so that its socket is an
 * ordinary one of a browser.
 */
import type { BrowserContext, Page } from "@playwright/test";
import { messageKey } from "../../src/protocol/chat";
import { SUBPROTOCOL } from "../../src/protocol/frames";
import { uuidv7 } from "../../src/protocol/uuid";
import { randomBytes } from "node:crypto";
import { signIn } from "./accounts";
import { system } from "./system";
import type { User } from "./user";

/** A message to send; see realtime/wire. */
export interface Said {
  readonly to: string;
  readonly body: string;
  /** When it was written, in ms since the epoch, at most 30 days ago. The default is now. */
  readonly at?: number;
  /** The key of the message that it answers. */
  readonly replyTo?: string;
}

export class Voice {
  readonly uid: string;
  readonly #page: Page;

  private constructor(page: Page, uid: string) {
    this.#page = page;
    this.uid = uid;
  }

  /** Connects as `who`. From then on it acknowledges every event. */
  static async open(context: BrowserContext, who: User): Promise<Voice> {
    const { uid, token } = await signIn(who);
    const page = await context.newPage();
    await page.goto(`${system().url}/config.json`);
    await page.evaluate(connect, { token, protocol: SUBPROTOCOL, device: `voice-${randomBytes(6).toString("hex")}` });
    return new Voice(page, uid);
  }

  /** Sends a message, and resolves with its key once the server has accepted it. */
  async say({ to, body, at, replyTo }: Said): Promise<string> {
    const id = newId(at ?? Date.now());
    await this.#page.evaluate(sendAll, { frames: [frame(id, to, body, at, replyTo)], perSecond: Infinity });
    return messageKey({ id, from: this.uid });
  }

  /** Sends `count` messages at an even pace, and resolves once the server has accepted them all. */
  async pour(to: string, count: number, perSecond: number, body: (n: number) => string): Promise<void> {
    const frames = Array.from({ length: count }, (_, n) => frame(newId(Date.now()), to, body(n)));
    await this.#page.evaluate(sendAll, { frames, perSecond });
  }

  /** Marks everything up to a time (in ms since the epoch) as read. */
  async read(conversation: string, at: number): Promise<void> {
    await this.#page.evaluate((f) => (window as unknown as VoiceWindow).voice.send(JSON.stringify(f)), {
      type: "read",
      conversation,
      at: at * 1000,
    });
  }

  async close(): Promise<void> {
    await this.#page.close();
  }
}

function newId(ms: number): string {
  return uuidv7(ms, randomBytes(10));
}

function frame(id: string, to: string, body: string, at?: number, replyTo?: string): object {
  // Without a time, the page adds the time of sending.
  return {
    type: "send",
    id,
    to,
    body,
    ...(at === undefined ? {} : { at: at * 1000 }),
    ...(replyTo === undefined ? {} : { reply_to: replyTo }),
  };
}

/** The globals that {@link connect} sets in the page. */
interface VoiceWindow {
  voice: WebSocket;
  settled: Map<string, (problem: string | null) => void>;
}

/** Runs in the page: opens the socket and says hello. */
async function connect({
  token,
  protocol,
  device,
}: {
  token: string;
  protocol: string;
  device: string;
}): Promise<void> {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws", protocol);
  const settled = new Map<string, (problem: string | null) => void>();
  Object.assign(window, { voice: socket, settled });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", token, device, cursor: "" }));
    socket.onclose = ({ code, reason }) => {
      reject(new Error(`The socket was closed: ${code} ${reason}`));
      for (const settle of settled.values()) settle("The socket was closed.");
    };
    socket.onmessage = ({ data }) => {
      const f = JSON.parse(data as string) as { type: string; id?: string; cursor?: string; message?: string };
      if (f.type === "welcome") resolve();
      if (f.type === "event") socket.send(JSON.stringify({ type: "ack", cursor: f.cursor }));
      if (f.type === "sent") settled.get(f.id ?? "")?.(null);
      if (f.type === "error") settled.get(f.id ?? "")?.(f.message ?? "refused");
    };
  });
}

/** Runs in the page: sends the frames at an even pace, and waits for the reply to each. */
async function sendAll({ frames, perSecond }: { frames: readonly object[]; perSecond: number }): Promise<void> {
  const { voice, settled } = window as unknown as VoiceWindow;
  const began = performance.now();
  const confirmations: Promise<void>[] = [];
  for (let n = 0; n < frames.length;) {
    const due =
      perSecond === Infinity
        ? frames.length
        : Math.min(frames.length, Math.floor(((performance.now() - began) / 1000) * perSecond) + 1);
    for (; n < due; n++) {
      const f = { at: Date.now() * 1000, id: "", ...frames[n] };
      confirmations.push(
        new Promise((resolve, reject) => {
          settled.set(f.id, (problem) => {
            settled.delete(f.id);
            if (problem === null) resolve();
            else reject(new Error(problem));
          });
        }),
      );
      voice.send(JSON.stringify(f));
    }
    if (n < frames.length) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(confirmations);
}
