/**
 * Devices with the browser's own engine and store, for the crowd of a fault run. infra/fault/load/browser.go starts this
 * program, makes its calls through standard input, and judges what it reports on standard output. The network is on that
 * side, so the faults that hit other devices hit these too.
 */
import { createInterface } from "node:readline";
import { IDBKeyRange } from "fake-indexeddb";
import { App, type Surroundings } from "./app";
import type { Incoming, Outgoing } from "./protocol";
import { Stored } from "./stored";

globalThis.IDBKeyRange = IDBKeyRange;

const apps = new Map<number, App>();
const stores = new Map<number, Stored>();
const sockets = new Map<number, App>();
const questions = new Map<number, (answer: Incoming) => void>();
let lastSocket = 0;
let lastQuestion = 0;

// Pipes are written synchronously on Linux, so lines never overtake each other.
function write(line: Outgoing): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const surroundings: Surroundings = {
  addSocket(app) {
    sockets.set(++lastSocket, app);
    return lastSocket;
  },
  removeSocket: (socket) => void sockets.delete(socket),
  write,
  ask: (question) =>
    new Promise((resolve) => {
      questions.set(++lastQuestion, resolve);
      write({ ...question, ask: lastQuestion });
    }),
};

function storeOf(call: Incoming): Stored {
  const store = stores.get(call.store ?? 0);
  if (!store) throw new Error(`there is no store ${call.store}`);
  return store;
}

function appOf(call: Incoming): App {
  const app = apps.get(call.app ?? 0);
  if (!app) throw new Error(`there is no app ${call.app}`);
  return app;
}

const calls: Readonly<Record<string, (call: Incoming) => Promise<unknown>>> = {
  create: async (call) => {
    stores.set(call.store ?? 0, await Stored.create(call.uid ?? ""));
  },
  copy: async (call) => {
    const copy = await storeOf(call).copy();
    if (copy) stores.set(call.copy ?? 0, copy);
    return copy !== null;
  },
  lines: (call) => storeOf(call).lines(call.conversation ?? ""),
  conversations: (call) => storeOf(call).conversations(),
  newest: (call) => storeOf(call).newest(call.conversation ?? ""),
  unseen: (call) => storeOf(call).unseen(call.conversation ?? ""),
  summary: (call) => storeOf(call).summary(call.conversation ?? ""),
  unfinished: (call) => storeOf(call).unfinished(),
  rows: (call) => storeOf(call).rows(),
  start: async (call) => {
    const number = call.app ?? 0;
    const app = new App(number, storeOf(call), surroundings, call.seed ?? [], call.skew_ms ?? 0);
    apps.set(number, app);
    await app.start();
  },
  kill: async (call) => {
    const app = appOf(call);
    apps.delete(call.app ?? 0);
    await app.kill();
  },
  write: (call) => appOf(call).send(call.to ?? "", call.body ?? "", call.reply_to ?? null),
  change: (call) => appOf(call).change(call.conversation ?? "", call.key ?? "", call.kind ?? "", call.content ?? ""),
  seen: (call) => appOf(call).read(call.conversation ?? "", call.at ?? 0),
  open: (call) => appOf(call).open(call.conversation ?? "", call.whole === true),
  online: async (call) => {
    appOf(call).online = call.online === true;
  },
  skew: async (call) => {
    appOf(call).skewMs = call.skew_ms ?? 0;
  },
};

async function perform(call: Incoming & { readonly call: number }): Promise<void> {
  try {
    const run = calls[call.do ?? ""];
    if (!run) throw new Error(`unknown call ${call.do}`);
    write({ call: call.call, result: (await run(call)) ?? null });
  } catch (err) {
    write({ call: call.call, error: String(err) });
  }
}

createInterface({ input: process.stdin })
  .on("line", (text) => {
    const line = JSON.parse(text) as Incoming;
    if (line.call !== undefined) void perform({ ...line, call: line.call });
    else if (line.answer !== undefined) {
      questions.get(line.answer)?.(line);
      questions.delete(line.answer);
    } else if (line.socket !== undefined) sockets.get(line.socket)?.socketEvent(line.socket, line);
  })
  .on("close", () => process.exit(0));
