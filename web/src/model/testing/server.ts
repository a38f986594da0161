/**
 * A small model of realtime/ and persist: DESIGN §5 and §6 without their machinery. It may lose everything that those
 * may lose. It also checks the clients' behavior; see {@link ModelServer.faults}.
 *
 * This file answers the frames of clients. inboxes.ts keeps the events of each user, serverSocket.ts sends them on one
 * socket, refusals.ts decides which messages are refused, and archive.ts has the saved messages.
 */
import { type ChatMessage, conversationId, otherMember, type SavedMessage } from "../../protocol/chat";
import type { Change } from "../../protocol/changes";
import type { FakeClock } from "../../platform/testing/clock";
import type { FakeSocket } from "../../platform/testing/fake";
import { FakeArchive } from "./archive";
import { Inboxes } from "./inboxes";
import { contentOf, pathOf, Refusals } from "./refusals";
import { ServerSocket } from "./serverSocket";

export class ModelServer {
  readonly archive = new FakeArchive();
  /** Protocol violations of clients. */
  readonly faults: string[] = [];
  /** Paths of messages that the server accepted. */
  readonly accepted = new Set<string>();
  /** Tokens that clients sent on open sockets. */
  readonly renewed: string[] = [];
  readonly clock: FakeClock;
  readonly inboxes = new Inboxes();
  private readonly connected = new Set<ServerSocket>();
  private readonly refusals = new Refusals(this);
  redisDown = false;
  refusing = false;
  /** How long saving takes, in ms. */
  saveDelay = 0;
  /** Drops `sent` answers. Tests drop whole sockets themselves. */
  loseAnswers = false;
  /** False: no user is reported in presence any more. */
  reportsPresence = true;
  /** Sockets of one user. Beyond that, the oldest is closed. */
  maxSockets = Number.POSITIVE_INFINITY;
  /** How many sockets were closed for newer ones. */
  replacements = 0;
  /** Returns the code of a final refusal, or null to accept the message. */
  refuse: (message: ChatMessage) => string | null = () => null;
  /** Returns the code of a refusal for now and its pause in ms, or null to accept the message. */
  refuseForNow: (message: ChatMessage) => readonly [code: string, retryAfterMs: number] | null = () => null;
  /** The codes with which hellos are refused, by uid. */
  readonly refused = new Map<string, string>();
  /** The limits in `welcome`. */
  limits = { body: 8000, frame: 65536, unacked: 256, ahead_ms: 5000, max_age_ms: 2592000000, watch: 100 };

  constructor(clock: FakeClock) {
    this.clock = clock;
    this.archive.onSetting = (uid, setting) => {
      const { message, ...rest } = setting;
      this.append(uid, { type: "setting", ...rest, ...(message === "" ? {} : { message }) });
      const other = otherMember(setting.conversation, uid);
      if (setting.kind === "accept" && other !== null) this.noteAnswer(setting.conversation, uid, other);
    };
  }

  /** A client opens a socket. */
  open(socket: FakeSocket): void {
    const c = new ServerSocket(socket, this);
    socket.onSent = (text) => this.clock.after(1, () => this.receive(c, JSON.parse(text) as Record<string, unknown>));
    socket.onClosed = () => this.onDisconnected(c);
    this.clock.after(2, () => {
      if (this.refusing) socket.drop(1006);
      else if (socket.state === "opening") {
        this.connected.add(c);
        socket.accept();
      }
    });
  }

  /** Closes the oldest socket of a user, as a server does when they open too many. */
  replace(uid: string): void {
    const oldest = [...this.connected].find((c) => c.uid === uid);
    if (!oldest) return;
    this.replacements++;
    this.onDisconnected(oldest);
    oldest.deliver({ type: "error", code: "socket_replaced", message: "Newer ones were opened." });
    oldest.socket.drop(4409);
  }

  /** Sends a frame on all sockets of a user. */
  deliverTo(uid: string, frame: object): void {
    for (const c of this.connected) if (c.uid === uid) c.deliver(frame);
  }

  /** Drops all sockets of a user, or of everybody. */
  drop(uid?: string, code = 1006): void {
    for (const c of [...this.connected]) {
      if (uid !== undefined && c.uid !== uid) continue;
      this.onDisconnected(c);
      c.socket.drop(code);
    }
  }

  /** Cuts a user's network silently: their sockets stay open, and nothing gets through. */
  mute(uid: string): void {
    for (const c of [...this.connected]) {
      if (c.uid !== uid) continue;
      c.socket.onSent = () => undefined;
      this.onDisconnected(c);
    }
  }

  /** The users whose presence `uid` watches. */
  watchedBy(uid: string): readonly string[] {
    return [...this.connected].find((c) => c.uid === uid)?.watch ?? [];
  }

  /** The number of open sockets of one user. */
  socketsOf(uid: string): number {
    return [...this.connected].filter((c) => c.uid === uid).length;
  }

  /** Whether the user looks at one of their devices, as far as the server knows. */
  looks(uid: string): boolean {
    return [...this.connected].some((c) => c.uid === uid && c.looking);
  }

  private onDisconnected(c: ServerSocket): void {
    this.connected.delete(c);
    this.sendPresence(c.uid);
  }

  private deliverPresence(c: ServerSocket, user: string): void {
    if (!this.reportsPresence) return;
    const hidden = !this.archive.answered(conversationId(c.uid, user), user);
    const online = !hidden && [...this.connected].some((c) => c.uid === user && !c.background);
    const lastSeen = online || hidden ? {} : { last_seen: this.clock.now() * 1000 };
    c.deliver({ type: "presence", user, online, ...lastSeen });
  }

  private sendPresence(user: string): void {
    for (const c of [...this.connected]) if (c.watch.includes(user)) this.deliverPresence(c, user);
  }

  goaway(reason: string): void {
    for (const c of this.connected) c.deliver({ type: "goaway", reason, within_ms: 3000 });
  }

  /** Redis comes back empty, with another epoch. */
  wipe(): void {
    this.inboxes.wipe();
    this.goaway("resync");
  }

  private receive(c: ServerSocket, f: Record<string, unknown>): void {
    if (!this.connected.has(c)) return;
    if (c.uid === "" && f["type"] !== "hello") {
      this.faults.push("a frame before hello");
      return;
    }
    switch (f["type"]) {
      case "hello":
        c.looking = f["looking"] === true;
        c.background = f["background"] === true;
        if (c.looking && c.background) this.faults.push("a background visit that looks");
        this.hello(c, String(f["token"]).split(" ")[0] ?? "", String(f["cursor"]));
        return;
      case "looking":
        if (c.background) this.faults.push("a background visit that looks");
        c.looking = f["looking"] === true;
        return;
      case "send":
        this.send(c, f);
        return;
      case "change":
        this.change(c, f);
        return;
      case "ack": {
        const [epoch = "", n = ""] = String(f["cursor"]).split(":");
        if (Number(epoch) !== this.inboxes.epoch || c.epoch !== this.inboxes.epoch) return;
        if (Number(n) > c.sentTo) this.faults.push("an ack of what this socket did not bring");
        c.acknowledge(Number(n));
        this.acknowledge(c.uid, c.ack);
        this.relayAll(c);
        return;
      }
      case "read":
        this.read(c.uid, String(f["conversation"]), Number(f["at"]));
        return;
      case "ping":
        c.deliver({ type: "pong" });
        return;
      case "token":
        this.renewed.push(String(f["token"]));
        return;
      case "typing":
        for (const other of this.connected)
          if (other.uid === f["to"] && this.archive.answered(conversationId(c.uid, other.uid), c.uid))
            other.deliver({ type: "typing", from: c.uid });
        return;
      case "watch":
        c.watch = (f["users"] as string[]) ?? [];
        for (const user of c.watch) this.deliverPresence(c, user);
        return;
    }
  }

  private hello(c: ServerSocket, uid: string, cursor: string): void {
    if (this.redisDown) {
      this.connected.delete(c);
      c.socket.drop(1013);
      return;
    }
    const refused = this.refused.get(uid);
    if (refused !== undefined) {
      this.connected.delete(c);
      c.deliver({ type: "error", code: refused, message: "x" });
      c.socket.drop(4401);
      return;
    }
    c.uid = uid;
    if (this.socketsOf(uid) > this.maxSockets) this.replace(uid);
    c.epoch = this.inboxes.epoch;
    this.sendPresence(uid);
    const resumed = this.inboxes.canResume(uid, cursor);
    const from = resumed ? Number(cursor.split(":")[1]) : this.inboxes.of(uid).floor;
    c.welcome(resumed, from);
    this.relayAll(c);
    if (resumed) this.acknowledge(uid, from);
  }

  private relayAll(c: ServerSocket): void {
    if (this.connected.has(c)) c.relayAll();
  }

  append(uid: string, event: Record<string, unknown>): number {
    const entry = this.inboxes.append(uid, event);
    for (const c of [...this.connected])
      if (c.uid === uid && c.epoch === this.inboxes.epoch)
        this.clock.after(1, () => {
          if (entry.n > c.sentTo) this.relayAll(c);
        });
    return entry.n;
  }

  private send(c: ServerSocket, f: Record<string, unknown>): void {
    const id = String(f["id"]);
    const to = String(f["to"]);
    const message: ChatMessage = {
      id,
      conversation: conversationId(c.uid, to),
      from: c.uid,
      to,
      body: String(f["body"]),
      at: Number(f["at"]),
      accepted_at: this.clock.now() * 1000,
      ...(f["reply_to"] === undefined ? {} : { reply_to: f["reply_to"] as string }),
    };
    const refusal =
      this.refusals.ofMessage(message) ??
      (this.queue(message) ? null : { type: "error", code: "id_reused", message: "It is another message.", id });
    if (refusal) c.deliver(refusal);
    else if (!this.loseAnswers) c.deliver({ type: "sent", id, accepted_at: message.accepted_at });
  }

  /**
   * Queues a message of any client, also of one that chooses an id that is taken. Returns false while a message with
   * this id and other content waits.
   */
  queue(message: ChatMessage): boolean {
    const { pending } = this.inboxes.of(message.to);
    const id = `${message.from}/${message.id}`;
    const waiting = pending.get(id);
    if (waiting !== undefined) return waiting === contentOf(message);
    pending.set(id, contentOf(message));
    this.append(message.to, { type: "message", ...message });
    this.append(message.from, { type: "sent", ...message });
    this.accepted.add(pathOf(message));
    this.noteAnswer(message.conversation, message.from, message.to);
    return true;
  }

  /** A user has written, or has accepted a request, so the other one sees them. */
  private noteAnswer(conversation: string, uid: string, other: string): void {
    this.archive.noteWriter(conversation, uid);
    for (const c of [...this.connected]) if (c.uid === other && c.watch.includes(uid)) this.deliverPresence(c, uid);
  }

  private change(c: ServerSocket, { type: _, ...f }: Record<string, unknown>): void {
    const id = String(f["id"]);
    const to = String(f["to"]);
    const refusal = this.refusals.ofChange(c.uid, f);
    if (refusal) {
      c.deliver(refusal);
      return;
    }
    const { pending } = this.inboxes.of(to);
    const accepted = this.clock.now() * 1000;
    if (!pending.has(`${c.uid}/${id}`)) {
      pending.set(`${c.uid}/${id}`, JSON.stringify(f));
      const change = { ...f, conversation: conversationId(c.uid, to), from: c.uid, accepted_at: accepted };
      this.append(to, { type: "change", ...change });
      this.append(c.uid, { type: "changed", ...change });
      this.noteAnswer(change.conversation, c.uid, to);
    }
    if (!this.loseAnswers) c.deliver({ type: "sent", id, accepted_at: accepted });
  }

  private save(message: SavedMessage): void {
    for (const kept of this.archive.save([message]))
      for (const uid of [kept.from, kept.to]) this.append(uid, { type: "corrected", ...kept });
  }

  private acknowledge(uid: string, n: number): void {
    const inbox = this.inboxes.of(uid);
    const events = inbox.acknowledge(n);
    const now = this.clock.now() * 1000;
    const delivered: SavedMessage[] = [];
    const changed: Change[] = [];
    if (events.length > 0)
      this.clock.after(this.saveDelay, () => {
        for (const message of delivered) this.save(message);
        for (const change of changed) this.archive.change(change, this.clock.now() * 1000);
      });
    for (const event of events) {
      const { type, ...message } = event as unknown as { type: string } & ChatMessage;
      inbox.pending.delete(`${message.from}/${message.id}`);
      const ref = { id: message.id, at: message.at };
      if (type === "change") changed.push(event as unknown as Change);
      else delivered.push({ ...message, delivered_at: now });
      this.append(message.from, {
        type: "delivered",
        conversation: message.conversation,
        messages: type === "change" ? [] : [ref],
        ...(type === "change" && { changes: [ref] }),
        delivered_at: now,
      });
    }
    inbox.trim();
  }

  private read(uid: string, conversation: string, at: number): void {
    const other = otherMember(conversation, uid);
    if (other === null) {
      this.faults.push("a read mark in another's conversation");
      return;
    }
    if (at < 1) this.faults.push(`a read mark at ${at}`);
    if (this.redisDown) return;
    this.clock.after(this.saveDelay, () => this.archive.read(conversation, uid, at));
    const answered = this.archive.answered(conversation, uid);
    if (!answered) this.faults.push("a read mark of a request");
    for (const user of answered ? [uid, other] : [uid]) this.append(user, { type: "read", conversation, by: uid, at });
  }
}
