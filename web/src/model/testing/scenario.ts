/** Plays the scripted scenarios of realtime/wire/testdata/scenarios; their README is the description of all of this. */
import type { SavedMessage } from "../../protocol/chat";
import type { Database, Shape } from "../../platform/database";
import { FakeClock } from "../../platform/testing/clock";
import { FakeBrowser, FakePlatform, type FakeSocket, settle } from "../../platform/testing/fake";
import { FakeArchive } from "./archive";
import { Device } from "./device";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Frame = { [key: string]: Json };

export interface Step {
  open?: number;
  refuse?: boolean;
  server?: Frame;
  expect?: Frame;
  on?: number;
  within_ms?: number;
  silence_ms?: number;
  never_acked?: string;
  close?: number;
  closed?: number;
  advance_ms?: number;
  restart?: boolean;
  user?: {
    send?: { to: string; body: string; reply_to?: string };
    read?: { conversation: string; at: Json };
    open?: string;
  };
  as?: string;
  archive?: { save?: Json[]; read?: Record<string, Record<string, Json>>; down?: boolean };
  see?: Json;
}

export interface Scenario {
  name: string;
  why: string;
  me: string;
  steps: Step[];
  final?: Json;
}

const START_MS = 1_795_348_800_000;
const PASSED_OVER = new Set(["ping", "typing", "watch"]);

class Play {
  readonly clock = new FakeClock(START_MS, settle);
  readonly archive = new FakeArchive();
  private readonly scenario: Scenario;
  private readonly browser = new FakeBrowser();
  private readonly openDatabase: ((name: string, shape: Shape) => Promise<Database>) | undefined;
  private readonly names = new Map<string, Json>();
  private readonly sockets = new Map<number, FakeSocket>();
  /** Frames of each socket that were looked at. */
  private readonly looked = new Map<FakeSocket, number>();
  private last = 0;
  private waiting: FakeSocket[] = [];
  device!: Device;

  constructor(scenario: Scenario, open?: (name: string, shape: Shape) => Promise<Database>) {
    this.scenario = scenario;
    this.openDatabase = open;
  }

  async begin(): Promise<void> {
    const platform = new FakePlatform({
      clock: this.clock,
      browser: this.browser,
      ...(this.openDatabase ? { open: this.openDatabase } : {}),
    });
    platform.onSocket = (socket) => this.waiting.push(socket);
    platform.answer = (request) => this.archive.answer(this.scenario.me, request);
    this.device = await Device.start(platform, this.scenario.me);
    await this.clock.advance(0);
  }

  async step(step: Step): Promise<void> {
    const within = step.within_ms ?? 1000;
    if (step.open !== undefined || step.refuse) await this.nextSocket(step, within);
    else if (step.server) this.socket(step.on).deliver(this.fill(step.server));
    else if (step.expect) await this.expect(this.socket(step.on), step.expect, within);
    else if (step.silence_ms !== undefined) await this.silence(step.silence_ms);
    else if (step.never_acked !== undefined) this.neverAcked(this.socket(step.on), step.never_acked);
    else if (step.close !== undefined) this.socket(step.on).drop(step.close);
    else if (step.closed !== undefined) await this.closed(step.closed, within);
    else if (step.advance_ms !== undefined) await this.clock.advance(step.advance_ms);
    else if (step.restart) await this.restart();
    else if (step.user) await this.user(step);
    else if (step.archive) this.change(step.archive);
    else if (step.see !== undefined) await this.see(step.see);
    else throw new Error("a step without a word");
    await this.clock.advance(0);
  }

  private socket(on: number | undefined): FakeSocket {
    const socket = this.sockets.get(on ?? this.last);
    if (!socket) throw new Error(`there is no socket ${on ?? this.last}`);
    return socket;
  }

  private async nextSocket(step: Step, within: number): Promise<void> {
    const found = (): FakeSocket | undefined => {
      this.waiting = this.waiting.filter((s) => s.state === "opening");
      return this.waiting[0];
    };
    await this.clock.advance(within, () => found() !== undefined);
    const socket = found();
    if (!socket) throw new Error(`no socket was opened within ${within} ms`);
    this.waiting.shift();
    if (step.open === undefined) {
      socket.drop(1006);
      return;
    }
    this.last = step.open;
    this.sockets.set(step.open, socket);
    socket.onSent = (text) => {
      if ((JSON.parse(text) as Frame)["type"] === "ping") socket.deliver({ type: "pong" });
    };
    socket.accept();
  }

  private frames(socket: FakeSocket): Frame[] {
    return socket.sent.map((text) => JSON.parse(text) as Frame);
  }

  private async expect(socket: FakeSocket, want: Frame, within: number): Promise<void> {
    let got: Frame | null = null;
    await this.clock.advance(within, () => {
      const frames = this.frames(socket);
      for (let i = this.looked.get(socket) ?? 0; i < frames.length; i++) {
        const frame = frames[i];
        if (!frame) continue;
        const type = asText(frame["type"]);
        const wanted = type === want["type"];
        const passed = PASSED_OVER.has(type)
          ? !wanted
          : type === "ack" && !(wanted && this.matches(want, frame, false));
        this.looked.set(socket, i + 1);
        if (passed) continue;
        got = frame;
        return true;
      }
      return false;
    });
    if (got === null) throw new Error(`nothing came within ${within} ms`);
    if (!this.matches(want, got, true)) throw new Error(`the client sent ${JSON.stringify(got)}`);
  }

  private async silence(ms: number): Promise<void> {
    await this.clock.advance(ms);
    for (const [name, socket] of this.sockets) {
      for (const frame of this.frames(socket).slice(this.looked.get(socket) ?? 0)) {
        const type = asText(frame["type"]);
        if (type !== "ack" && !PASSED_OVER.has(type))
          throw new Error(`the client sent ${JSON.stringify(frame)} on socket ${name}`);
      }
    }
  }

  private neverAcked(socket: FakeSocket, cursor: string): void {
    const value = this.fill(cursor);
    if (this.frames(socket).some((f) => f["type"] === "ack" && f["cursor"] === value))
      throw new Error(`${cursor} was acknowledged`);
  }

  private async closed(name: number, within: number): Promise<void> {
    const socket = this.socket(name);
    await this.clock.advance(within, () => socket.state === "closed");
    if (socket.state !== "closed") throw new Error(`the client keeps socket ${name}`);
  }

  private async restart(): Promise<void> {
    this.device.kill();
    this.waiting = [];
    await settle();
    await this.begin();
  }

  private async user(step: Step): Promise<void> {
    const { send, read, open } = step.user ?? {};
    if (send) {
      const replyTo = send.reply_to === undefined ? null : asText(this.fill(send.reply_to));
      const id = await this.device.send(send.to, send.body, replyTo);
      if (step.as) this.names.set(step.as, id);
    } else if (read) await this.device.read(read.conversation, Number(this.fill(read.at)));
    else if (open) await this.device.open(open);
    else throw new Error("unknown action");
  }

  private change(change: NonNullable<Step["archive"]>): void {
    this.archive.save((change.save ?? []).map((m) => this.fill(m) as unknown as SavedMessage));
    for (const [conversation, marks] of Object.entries(change.read ?? {}))
      for (const [uid, at] of Object.entries(marks)) this.archive.read(conversation, uid, Number(this.fill(at)));
    if (change.down !== undefined) this.archive.down = change.down;
  }

  async see(want: Json): Promise<void> {
    const got = (await this.device.see()) as unknown as Json;
    this.compare("", want, got);
  }

  private compare(path: string, want: Json, got: Json | undefined): void {
    if (Array.isArray(want)) {
      if (!Array.isArray(got) || got.length !== want.length) {
        throw new Error(`${path} is ${JSON.stringify(got)}, not ${JSON.stringify(this.fill(want))}`);
      }
      for (const [i, w] of want.entries()) this.compare(`${path}[${i}]`, w, got[i]);
      return;
    }
    if (typeof want === "object" && want !== null && !("above" in want) && !("equal" in want)) {
      if (typeof got !== "object" || got === null || Array.isArray(got))
        throw new Error(`${path} is ${JSON.stringify(got)}`);
      for (const [key, w] of Object.entries(want)) this.compare(`${path}/${key}`, w, got[asText(this.fill(key))]);
      return;
    }
    if (!this.matches(want, got, false))
      throw new Error(`${path} is ${JSON.stringify(got)}, not ${JSON.stringify(this.fill(want))}`);
  }

  private matches(want: Json, got: Json | undefined, bind: boolean): boolean {
    if (typeof want === "string" && want.startsWith("$")) {
      const value = this.names.get(want);
      if (value === undefined) {
        if (bind && got !== undefined) this.names.set(want, got);
        return got !== undefined;
      }
      return value === got;
    }
    if (Array.isArray(want))
      return Array.isArray(got) && got.length === want.length && want.every((w, i) => this.matches(w, got[i], bind));
    if (typeof want === "object" && want !== null) {
      if (want["above"] !== undefined) return typeof got === "number" && got > Number(this.fill(want["above"]));
      if (want["equal"] !== undefined) return got === Number(this.fill(want["equal"]));
      if (typeof got !== "object" || got === null || Array.isArray(got)) return false;
      return Object.entries(want).every(([k, w]) =>
        w === null ? got[k] === undefined : this.matches(w, got[k], bind),
      );
    }
    return want === got;
  }

  /** Replaces names by their values. */
  private fill(value: Json): Json {
    if (typeof value === "string") return this.names.get(value) ?? value;
    if (Array.isArray(value)) return value.map((v) => this.fill(v));
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [asText(this.fill(k)), this.fill(v)]));
    }
    return value;
  }
}

/** Names, types and ids are strings; anything else is shown as JSON. */
function asText(value: Json | undefined): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Plays a scenario to its end; rejects with the step that failed. */
export async function play(
  scenario: Scenario,
  open?: (name: string, shape: Shape) => Promise<Database>,
): Promise<void> {
  const p = new Play(scenario, open);
  await p.begin();
  for (const [i, step] of scenario.steps.entries()) {
    try {
      await p.step(step);
    } catch (err) {
      const what = err instanceof Error ? err.message : String(err);
      const reports = p.device.platform.reports.join("; ");
      throw new Error(`step ${i + 1} ${JSON.stringify(step)}: ${what}${reports ? ` (reports: ${reports})` : ""}`, {
        cause: err,
      });
    }
  }
  if (scenario.final !== undefined) await p.see(scenario.final);
}
