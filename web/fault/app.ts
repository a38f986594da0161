/** One run of the app on a device: the browser's engine, its store on IndexedDB, and the network of the Go process. */
import { inspect } from "node:util";
import type { Token } from "../src/net/connection";
import { type HttpAnswer, type HttpRequest, NetworkError } from "../src/platform/platform";
import { FakePlatform, type FakeSocket } from "../src/platform/testing/fake";
import { Device } from "../src/model/testing/device";
import { messagePath, type MessageRow } from "../src/model/store/rows";
import { type ChatMessage, messageKey } from "../src/protocol/chat";
import type { OwnChange } from "../src/model/interface/conversation";
import { ArrivedChanges, Arrivals, type ServerLine } from "./arrivals";
import { realClock } from "./clock";
import { NotedDatabase } from "./notes";
import type { Incoming, Note, Outgoing, WireMessage } from "./protocol";
import { seeded } from "./random";
import type { Stored } from "./stored";

/** The parts of this program that an app uses. */
export interface Surroundings {
  /** Numbers a socket of this app, so that {@link App.socketEvent} gets what happens on it. */
  addSocket(app: App): number;
  removeSocket(socket: number): void;
  write(line: Outgoing): void;
  ask(question: Outgoing): Promise<Incoming>;
}

export class App {
  private readonly number: number;
  private readonly stored: Stored;
  private readonly surroundings: Surroundings;
  private readonly platform: FakePlatform;
  private readonly sockets = new Map<number, FakeSocket>();
  /** Sockets that are caught up. */
  private readonly caughtUp = new Set<number>();
  private readonly databases: NotedDatabase[] = [];
  /** The messages that history has answered with. */
  private readonly paged = new Set<string>();
  private readonly arrivals: Arrivals;
  private readonly changes = new ArrivedChanges();
  private device: Device | null = null;
  private live = false;

  constructor(number: number, stored: Stored, surroundings: Surroundings, seed: readonly number[], skewMs: number) {
    this.number = number;
    this.stored = stored;
    this.arrivals = new Arrivals(stored.known);
    this.surroundings = surroundings;
    this.platform = new FakePlatform({ clock: realClock, random: seeded(seed), open: () => this.openDatabase() });
    this.platform.skew = skewMs;
    this.platform.onSocket = (socket) => this.dial(socket);
    this.platform.answer = (request) => this.request(request);
    this.platform.report = (what: string, cause?: unknown) => {
      this.write({ report: cause === undefined ? what : `${what}: ${inspect(cause)}` });
    };
  }

  async start(): Promise<void> {
    this.device = await Device.start(this.platform, this.stored.uid, {
      token: () => this.token(),
      onState: ({ state }) => this.onLive(state === "live"),
    });
  }

  /** Ends the app as a crash does. Transactions that were not committed leave nothing. */
  async kill(): Promise<void> {
    this.platform.kill();
    for (const database of this.databases) {
      await database.settled();
      database.close();
    }
  }

  set skewMs(ms: number) {
    this.platform.skew = ms;
  }

  set online(online: boolean) {
    this.platform.setOnline(online);
  }

  /** Types a message. The value is its id. */
  send(to: string, body: string, replyTo: string | null): Promise<string> {
    return this.running().send(to, body, replyTo);
  }

  /** Edits a message, deletes it for everyone, or reacts to it. What the user may not do has no effect. */
  change(conversation: string, key: string, kind: string, content: string): Promise<void> {
    const what =
      kind === "edit"
        ? { kind, body: content }
        : kind === "delete"
          ? { kind }
          : { kind: "react" as const, emoji: content };
    return this.running().change(conversation, key, what as OwnChange);
  }

  /** The user sees everything in a conversation up to `at`. */
  read(conversation: string, at: number): Promise<void> {
    return this.running().read(conversation, at);
  }

  /** Opens a conversation on the screen. With `whole`, scrolls to its beginning. Rejects if a request fails. */
  async open(conversation: string, whole: boolean): Promise<void> {
    const { history } = this.running();
    await history.refresh(conversation);
    if (!whole) return;
    let before: Pick<MessageRow, "place" | "key"> | null = null;
    for (;;) {
      const page: { rows: MessageRow[]; complete: boolean } = await history.older(conversation, before);
      const [oldest] = page.rows;
      if (page.complete) return;
      if (!oldest) throw new Error("an empty page that is not the last one");
      before = oldest;
    }
  }

  socketEvent(number: number, { event, text = "", code = 1006 }: Incoming): void {
    const socket = this.sockets.get(number);
    if (!socket) return;
    switch (event) {
      case "opened":
        socket.accept();
        return;
      case "text":
        this.receive(number, socket, text);
        return;
      case "closed":
        this.forget(number);
        socket.drop(code);
        return;
    }
  }

  private running(): Device {
    if (!this.device) throw new Error("the app has not started");
    return this.device;
  }

  private write(line: Outgoing): void {
    this.surroundings.write({ ...line, app: this.number });
  }

  private note(note: Note): void {
    this.write(note);
  }

  private async openDatabase(): Promise<NotedDatabase> {
    const database = new NotedDatabase(await this.stored.open(), {
      uid: this.stored.uid,
      paged: (message) => this.paged.has(pathOf(message)),
      changesUpTo: (cursor) => this.changes.takeUpTo(cursor),
      outcomeOf: (change) => this.changes.outcomes.get(change),
      note: (note) => {
        this.note(note);
        const { message, from } = note;
        if (message && this.arrivals.show(pathOf(message), from)) this.note({ note: "repeated", message });
      },
    });
    this.databases.push(database);
    return database;
  }

  private dial(socket: FakeSocket): void {
    const number = this.surroundings.addSocket(this);
    this.sockets.set(number, socket);
    socket.onSent = (text) => this.write({ socket: number, event: "send", text });
    socket.onClosed = () => {
      this.forget(number);
      this.write({ socket: number, event: "close", code: socket.closedByClient ?? 0 });
    };
    this.write({ socket: number, event: "dial" });
  }

  private forget(number: number): void {
    this.sockets.delete(number);
    this.caughtUp.delete(number);
    this.surroundings.removeSocket(number);
  }

  private receive(number: number, socket: FakeSocket, text: string): void {
    const frame = JSON.parse(text) as ServerLine;
    if (frame.type === "welcome" && frame.resumed === false) this.note({ note: "not_resumed" });
    if (frame.type === "caught_up" && !this.caughtUp.has(number)) {
      this.caughtUp.add(number);
      if (this.live) this.note({ note: "moved" });
    }
    const event = frame.event;
    if (frame.type === "event" && (event?.type === "message" || event?.type === "sent")) {
      const { type: _, ...message } = event as ChatMessage & { type: string };
      if (this.arrivals.arrive(pathOf(message))) this.note({ note: "repeated", message });
    }
    this.changes.receive(frame);
    socket.deliver(text);
  }

  private onLive(live: boolean): void {
    if (live === this.live) return;
    this.live = live;
    this.note({ note: live ? "up" : "down" });
  }

  private async token(): Promise<Token> {
    const answer = await this.surroundings.ask({ app: this.number, what: "token" });
    if (answer.text === undefined) throw new NetworkError("no token");
    return { value: answer.text, endsAt: (answer.ends_ms ?? 0) + this.platform.skew };
  }

  private async request({ method, url, headers, body }: HttpRequest): Promise<HttpAnswer> {
    const question = { app: this.number, what: "http" as const, method, url, headers };
    const answer = await this.surroundings.ask(body === null ? question : { ...question, body });
    if (answer.status === undefined) throw new NetworkError("no network");
    const text = answer.text ?? "";
    if (answer.status === 200 && /\/messages(\/batch|\/changes)?$/.test(new URL(url).pathname)) {
      type Page = { readonly messages: readonly ChatMessage[] };
      const page = JSON.parse(text) as
        Page | { readonly pages: readonly Page[]; readonly saved: readonly ChatMessage[] };
      const found =
        "pages" in page ? [...page.pages.flatMap(({ messages }) => messages), ...page.saved] : page.messages;
      for (const m of found) this.paged.add(pathOf(m));
    }
    return {
      status: answer.status,
      header: (name) => (name.toLowerCase() === "retry-after" ? (answer.retry_after ?? null) : null),
      body: text,
    };
  }
}

function pathOf(message: ChatMessage | MessageRow | WireMessage): string {
  return messagePath(message.conversation, messageKey(message));
}
