/**
 * A small model of realtime/ and persist: DESIGN §5 and §6 without their machinery. It may lose everything that those
 * may lose. It also checks the clients' behavior; see {@link ModelServer.faults}.
 */
import { type ChatMessage, conversationId, messageKey, otherMember, type SavedMessage } from "../../protocol/chat";
import type { Change } from "../../protocol/changes";
import { type ChatEvent, waits } from "../../protocol/frames";
import type { FakeClock } from "../../platform/testing/clock";
import type { FakeSocket } from "../../platform/testing/fake";
import { messagePath } from "../store/rows";
import { FakeArchive } from "./archive";

interface Entry {
  readonly n: number;
  readonly event: Record<string, unknown>;
}

interface Inbox {
  entries: Entry[];
  /** Events up to this may be missing. */
  floor: number;
  /** Messages up to this are acknowledged and on their way to the archive. */
  acked: number;
  /** Sender and id of the messages that are not acknowledged yet, with their content. */
  pending: Map<string, string>;
}

interface Connected {
  readonly socket: FakeSocket;
  uid: string;
  /** The newest entry that was sent on it. */
  sentTo: number;
  epoch: number;
  /** The highest ack received. It is applied as far as entries were sent. */
  ack: number;
  /** The messages that were sent on it and are not acknowledged, oldest first. */
  unacked: number[];
  /** Set while the window is full: nothing is sent until half of it is acknowledged. */
  paused: boolean;
  /** Whether caught_up was sent. */
  live: boolean;
  watch: readonly string[];
  /** The user looks at the device. */
  looking: boolean;
  /** Outside presence. */
  background: boolean;
}

const pathOf = (m: ChatMessage): string => messagePath(m.conversation, messageKey(m));
const contentOf = (m: ChatMessage): string => JSON.stringify([m.to, m.body, m.at, m.reply_to]);

const awaitsAck = (event: Record<string, unknown>): boolean => waits(event as Pick<ChatEvent, "type">);

/** Returns the index of the first entry after `n`. */
function firstAfter(entries: readonly Entry[], n: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.n ?? 0) > n) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Events that an inbox keeps beyond those that it must keep. */
const RETAINED = 5;

export class ModelServer {
  readonly archive = new FakeArchive();
  /** Protocol violations of clients. */
  readonly faults: string[] = [];
  /** Paths of messages that the server accepted. */
  readonly accepted = new Set<string>();
  /** Tokens that clients sent on open sockets. */
  readonly renewed: string[] = [];
  private readonly clock: FakeClock;
  private epoch = 1;
  private last = 0;
  private inboxes = new Map<string, Inbox>();
  private readonly connected = new Set<Connected>();
  /** The first content of each message that a client sent. Repeats must have the same. */
  private readonly contents = new Map<string, string>();
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
    const c: Connected = {
      socket,
      uid: "",
      sentTo: 0,
      epoch: this.epoch,
      ack: 0,
      unacked: [],
      paused: false,
      live: false,
      watch: [],
      looking: false,
      background: false,
    };
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
    oldest.socket.deliver({ type: "error", code: "socket_replaced", message: "Newer ones were opened." });
    oldest.socket.drop(4409);
  }

  /** Sends a frame on all sockets of a user. */
  deliverTo(uid: string, frame: object): void {
    for (const c of this.connected) if (c.uid === uid) c.socket.deliver(frame);
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

  private onDisconnected(c: Connected): void {
    this.connected.delete(c);
    this.sendPresence(c.uid);
  }

  private deliverPresence(c: Connected, user: string): void {
    if (!this.reportsPresence) return;
    const hidden = !this.archive.answered(conversationId(c.uid, user), user);
    const online = !hidden && [...this.connected].some((c) => c.uid === user && !c.background);
    const lastSeen = online || hidden ? {} : { last_seen: this.clock.now() * 1000 };
    c.socket.deliver({ type: "presence", user, online, ...lastSeen });
  }

  private sendPresence(user: string): void {
    for (const c of [...this.connected]) if (c.watch.includes(user)) this.deliverPresence(c, user);
  }

  goaway(reason: string): void {
    for (const c of this.connected) c.socket.deliver({ type: "goaway", reason, within_ms: 3000 });
  }

  /** Redis comes back empty, with another epoch. */
  wipe(): void {
    this.epoch++;
    this.inboxes = new Map();
    this.goaway("resync");
  }

  private inbox(uid: string): Inbox {
    let inbox = this.inboxes.get(uid);
    if (!inbox) {
      inbox = { entries: [], floor: this.last, acked: this.last, pending: new Map() };
      this.inboxes.set(uid, inbox);
    }
    return inbox;
  }

  /** The codes with which hellos are refused, by uid. */
  readonly refused = new Map<string, string>();

  private receive(c: Connected, f: Record<string, unknown>): void {
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
        if (Number(epoch) !== this.epoch || c.epoch !== this.epoch) return;
        if (Number(n) > c.sentTo) this.faults.push("an ack of what this socket did not bring");
        c.ack = Math.max(c.ack, Number(n));
        c.unacked = c.unacked.filter((sent) => sent > c.ack);
        this.acknowledge(c.uid, c.ack);
        this.relayAll(c);
        return;
      }
      case "read":
        this.read(c.uid, String(f["conversation"]), Number(f["at"]));
        return;
      case "ping":
        c.socket.deliver({ type: "pong" });
        return;
      case "token":
        this.renewed.push(String(f["token"]));
        return;
      case "typing":
        for (const other of this.connected)
          if (other.uid === f["to"] && this.archive.answered(conversationId(c.uid, other.uid), c.uid))
            other.socket.deliver({ type: "typing", from: c.uid });
        return;
      case "watch":
        c.watch = (f["users"] as string[]) ?? [];
        for (const user of c.watch) this.deliverPresence(c, user);
        return;
    }
  }

  private hello(c: Connected, uid: string, cursor: string): void {
    if (this.redisDown) {
      this.connected.delete(c);
      c.socket.drop(1013);
      return;
    }
    const refused = this.refused.get(uid);
    if (refused !== undefined) {
      this.connected.delete(c);
      c.socket.deliver({ type: "error", code: refused, message: "x" });
      c.socket.drop(4401);
      return;
    }
    c.uid = uid;
    if (this.socketsOf(uid) > this.maxSockets) this.replace(uid);
    c.epoch = this.epoch;
    this.sendPresence(uid);
    const inbox = this.inbox(uid);
    const [epoch = "", n = ""] = cursor.split(":");
    const top = inbox.entries[inbox.entries.length - 1]?.n ?? inbox.floor;
    const resumed =
      cursor !== "" &&
      Number(epoch) === this.epoch &&
      Number(n) >= inbox.floor &&
      Number(n) <= Math.max(top, this.last);
    const from = resumed ? Number(n) : inbox.floor;
    c.socket.deliver({
      type: "welcome",
      uid,
      now: this.clock.now() * 1000,
      resumed,
      limits: this.limits,
      changes: true,
    });
    c.sentTo = from;
    this.relayAll(c);
    if (resumed) this.acknowledge(uid, from);
  }

  /** Sends what the inbox has beyond the last sent event, as far as the window of unacknowledged messages allows. */
  private relayAll(c: Connected): void {
    // Only sockets that were welcomed in this epoch are subscribed.
    if (!this.connected.has(c) || c.epoch !== this.epoch) return;
    if (c.paused && c.unacked.length > this.limits.unacked / 2) return;
    c.paused = false;
    const { entries, floor } = this.inbox(c.uid);
    if (c.sentTo < floor) {
      // Another device has acknowledged what this one was not sent, and it is gone.
      c.socket.deliver({
        type: "welcome",
        uid: c.uid,
        now: this.clock.now() * 1000,
        resumed: false,
        limits: this.limits,
        changes: true,
      });
      c.sentTo = floor;
    }
    for (const entry of entries.slice(firstAfter(entries, c.sentTo))) {
      if (c.unacked.length >= this.limits.unacked) {
        c.paused = true;
        return;
      }
      c.sentTo = entry.n;
      if (awaitsAck(entry.event)) c.unacked.push(entry.n);
      c.socket.deliver({ type: "event", cursor: `${this.epoch}:${entry.n}`, event: entry.event });
    }
    if (c.live) return;
    c.live = true;
    c.socket.deliver({ type: "caught_up", cursor: `${this.epoch}:${c.sentTo}` });
  }

  append(uid: string, event: Record<string, unknown>): number {
    const inbox = this.inbox(uid);
    const entry = { n: ++this.last, event };
    inbox.entries.push(entry);
    for (const c of [...this.connected])
      if (c.uid === uid && c.epoch === this.epoch)
        this.clock.after(1, () => {
          if (entry.n > c.sentTo) this.relayAll(c);
        });
    return entry.n;
  }

  private send(c: Connected, f: Record<string, unknown>): void {
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
    const content = contentOf(message);
    const aheadMs = message.at / 1000 - this.clock.now() - this.limits.ahead_ms;
    if (aheadMs > 0) {
      const pause = Math.min(Math.ceil(aheadMs), 3_600_000);
      // An instance whose clock is ahead may have accepted it, unless it is ahead of all of them.
      if (pause <= 10_000) this.contents.set(pathOf(message), content);
      c.socket.deliver({ type: "error", code: "at_ahead", message: "Later.", id, retry_after_ms: pause });
      return;
    }
    const first = this.contents.get(pathOf(message));
    if (first !== undefined && first !== content)
      this.faults.push(`message ${pathOf(message)} was changed: ${first} → ${content}`);
    this.contents.set(pathOf(message), content);
    const refusal = this.refuse(message);
    if (refusal !== null) {
      c.socket.deliver({ type: "error", code: refusal, message: "It cannot be sent.", id });
      return;
    }
    const [code, pause] = this.refuseForNow(message) ?? [];
    if (code !== undefined) {
      c.socket.deliver({ type: "error", code, message: "Not yet.", id, retry_after_ms: pause });
      return;
    }
    if (this.redisDown) {
      c.socket.deliver({ type: "error", code: "unavailable", message: "Later.", id, retry_after_ms: 500 });
      return;
    }
    if (!this.queue(message)) {
      c.socket.deliver({ type: "error", code: "id_reused", message: "It is another message.", id });
      return;
    }
    if (!this.loseAnswers) c.socket.deliver({ type: "sent", id, accepted_at: message.accepted_at });
  }

  /**
   * Queues a message of any client, also of one that chooses an id that is taken. Returns false while a message with
   * this id and other content waits.
   */
  queue(message: ChatMessage): boolean {
    const { pending } = this.inbox(message.to);
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

  private change(c: Connected, { type: _, ...f }: Record<string, unknown>): void {
    const id = String(f["id"]);
    const to = String(f["to"]);
    const content = JSON.stringify(f);
    const aheadMs = Math.ceil(Number(f["at"]) / 1000 - this.clock.now() - this.limits.ahead_ms);
    if (aheadMs > 10_000) {
      c.socket.deliver({ type: "error", code: "at_ahead", message: "Later.", id, retry_after_ms: aheadMs });
      return;
    }
    const path = messagePath(conversationId(c.uid, to), `${id}.${c.uid}`);
    const first = this.contents.get(path);
    if (first !== undefined && first !== content) this.faults.push(`change ${path} was changed: ${first} → ${content}`);
    this.contents.set(path, content);
    if (this.redisDown) {
      c.socket.deliver({ type: "error", code: "unavailable", message: "Later.", id, retry_after_ms: 500 });
      return;
    }
    const { pending } = this.inbox(to);
    const accepted = this.clock.now() * 1000;
    if (!pending.has(`${c.uid}/${id}`)) {
      pending.set(`${c.uid}/${id}`, content);
      const change = { ...f, conversation: conversationId(c.uid, to), from: c.uid, accepted_at: accepted };
      this.append(to, { type: "change", ...change });
      this.append(c.uid, { type: "changed", ...change });
      this.noteAnswer(change.conversation, c.uid, to);
    }
    if (!this.loseAnswers) c.socket.deliver({ type: "sent", id, accepted_at: accepted });
  }

  private save(message: SavedMessage): void {
    for (const kept of this.archive.save([message]))
      for (const uid of [kept.from, kept.to]) this.append(uid, { type: "corrected", ...kept });
  }

  private acknowledge(uid: string, n: number): void {
    const inbox = this.inbox(uid);
    const messages = inbox.entries.filter((e) => e.n > inbox.acked && e.n <= n && awaitsAck(e.event));
    inbox.acked = Math.max(inbox.acked, n);
    const now = this.clock.now() * 1000;
    const delivered: SavedMessage[] = [];
    const changed: Change[] = [];
    if (messages.length > 0)
      this.clock.after(this.saveDelay, () => {
        for (const message of delivered) this.save(message);
        for (const change of changed) this.archive.change(change, this.clock.now() * 1000);
      });
    for (const { event } of messages) {
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
    // Trimming removes only entries below the first unacknowledged message.
    const keepFrom = Math.min(inbox.acked, inbox.entries[inbox.entries.length - RETAINED]?.n ?? 0);
    const dropped = inbox.entries.filter((e) => e.n < keepFrom);
    inbox.entries = inbox.entries.filter((e) => e.n >= keepFrom);
    const lastDropped = dropped[dropped.length - 1];
    if (lastDropped) inbox.floor = lastDropped.n;
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
