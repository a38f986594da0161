/**
 * A device that speaks the protocol itself, without our client: for what a form cannot do, such as fifty messages a second, or
 * messages that were written days ago. It lives in an empty page of the system, so that its socket is an ordinary browser's.
 */
import type { BrowserContext, Page } from "@playwright/test";
import { SUBPROTOCOL } from "../../src/protocol/frames";
import { uuidv7 } from "../../src/protocol/uuid";
import { randomBytes } from "node:crypto";
import { signIn } from "./archive";
import { system } from "./system";
import type { Account } from "./account";

/** Signs up without the form. */
export async function register({ name, username, email, password }: Account): Promise<void> {
  const answer = await fetch(`${system().url}/api/signup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ display_name: name, username, email, password }),
  });
  if (!answer.ok) throw new Error(`Signing up ${username}: ${answer.status} ${await answer.text()}`);
}

/** A message as it is sent; see realtime/wire. */
export interface Said {
  readonly to: string;
  readonly body: string;
  /** When it was written, in ms since the epoch: at most 30 days ago. Now, where it is missing. */
  readonly at?: number;
  readonly replyTo?: string;
}

export class Voice {
  readonly uid: string;
  readonly #page: Page;

  private constructor(page: Page, uid: string) {
    this.#page = page;
    this.uid = uid;
  }

  /** Connects as `who`; from now on it acknowledges whatever comes for them. */
  static async open(context: BrowserContext, who: Account): Promise<Voice> {
    const { uid, token } = await signIn(who);
    const page = await context.newPage();
    await page.goto(`${system().url}/config.json`);
    await page.evaluate(begin, { token, protocol: SUBPROTOCOL, device: `voice-${randomBytes(6).toString("hex")}` });
    return new Voice(page, uid);
  }

  /** Sends, and resolves with the message's id once the server has it. */
  async say({ to, body, at, replyTo }: Said): Promise<string> {
    const id = newId(at ?? Date.now());
    await this.#page.evaluate(sendAll, { frames: [frame(id, to, body, at, replyTo)], perSecond: Infinity });
    return id;
  }

  /** Sends `count` messages at an even pace, and resolves once the server has them all. */
  async pour(to: string, count: number, perSecond: number, body: (n: number) => string): Promise<void> {
    const frames = Array.from({ length: count }, (_, n) => frame(newId(Date.now()), to, body(n)));
    await this.#page.evaluate(sendAll, { frames, perSecond });
  }

  /** Says that everything up to a moment (ms since the epoch) was read. */
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
  // Where there is no time, the page adds that of sending.
  return {
    type: "send",
    id,
    to,
    body,
    ...(at === undefined ? {} : { at: at * 1000 }),
    ...(replyTo === undefined ? {} : { reply_to: replyTo }),
  };
}

/** What {@link begin} leaves in the page. */
interface VoiceWindow {
  voice: WebSocket;
  settled: Map<string, (problem: string | null) => void>;
}

/** Runs in the page: opens the socket and greets. */
async function begin({ token, protocol, device }: { token: string; protocol: string; device: string }): Promise<void> {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws", protocol);
  const settled = new Map<string, (problem: string | null) => void>();
  Object.assign(window, { voice: socket, settled });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify({ type: "hello", token, device, cursor: "" }));
    socket.onclose = ({ code, reason }) => {
      reject(new Error(`The socket was closed: ${code} ${reason}`));
      for (const tell of settled.values()) tell("The socket was closed.");
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

/** Runs in the page: sends the frames at an even pace, and waits for the server's word on each. */
async function sendAll({ frames, perSecond }: { frames: readonly object[]; perSecond: number }): Promise<void> {
  const { voice, settled } = window as unknown as VoiceWindow;
  const began = performance.now();
  const words: Promise<void>[] = [];
  for (let n = 0; n < frames.length;) {
    const due =
      perSecond === Infinity
        ? frames.length
        : Math.min(frames.length, Math.floor(((performance.now() - began) / 1000) * perSecond) + 1);
    for (; n < due; n++) {
      const f = { at: Date.now() * 1000, id: "", ...frames[n] };
      words.push(
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
  await Promise.all(words);
}
