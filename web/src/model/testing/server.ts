/**
 * A small model of realtime/ and persist: DESIGN §5 and §6 without their
 * machinery, and with the freedom to lose what those may lose. It checks what
 * clients do to it; see {@link ModelServer.faults}.
 */
import { type ChatMessage, conversationId, otherMember } from "../../protocol/chat";
import type { FakeClock } from "../../platform/testing/clock";
import type { FakeSocket } from "../../platform/testing/fake";
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
  /** Message ids not yet acknowledged. */
  pending: Map<string, number>;
}

interface Connected {
  readonly socket: FakeSocket;
  uid: string;
  /** The newest entry that was sent on it. */
  sentTo: number;
  epoch: number;
  /** The highest ack received; applied as far as it was sent. */
  ack: number;
  watch: readonly string[];
}

/** Events that an inbox keeps beyond what must be kept. */
const RETAINED = 5;

export class ModelServer {
  readonly archive = new FakeArchive();
  /** What clients did wrong. */
  readonly faults: string[] = [];
  /** Ids of messages of which the sender was told "sent". */
  readonly accepted = new Set<string>();
  private readonly clock: FakeClock;
  private epoch = 1;
  private last = 0;
  private inboxes = new Map<string, Inbox>();
  private readonly connected = new Set<Connected>();
  /** First content of each id: repeats must be the same. */
  private readonly contents = new Map<string, string>();
  redisDown = false;
  refusing = false;
  /** How long saving takes, in ms. */
  saveDelay = 0;
  /** The chance that a frame to a client is lost with its socket is the test's; this loses `sent` answers. */
  loseAnswers = false;
  /** Code of a final refusal; null: the message is taken. */
  refuse: (message: ChatMessage) => string | null = () => null;
  /** As `welcome` tells them. */
  limits = { body: 8000, frame: 65536, unacked: 256, ahead_ms: 5000, max_age_ms: 2592000000, watch: 100 };

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  /** A client opens a socket. */
  open(socket: FakeSocket): void {
    const c: Connected = { socket, uid: "", sentTo: 0, epoch: this.epoch, ack: 0, watch: [] };
    socket.onSent = (text) => this.clock.after(1, () => this.receive(c, JSON.parse(text) as Record<string, unknown>));
    socket.onClosed = () => this.left(c);
    this.clock.after(2, () => {
      if (this.refusing) socket.drop(1006);
      else if (socket.state === "opening") {
        this.connected.add(c);
        socket.accept();
      }
    });
  }

  /** Drops all sockets of a person, or of everybody. */
  drop(uid?: string): void {
    for (const c of [...this.connected]) {
      if (uid !== undefined && c.uid !== uid) continue;
      this.left(c);
      c.socket.drop(1006);
    }
  }

  /** The network of a person goes without a word: their sockets stay open, and nothing passes any more. */
  mute(uid: string): void {
    for (const c of [...this.connected]) {
      if (c.uid !== uid) continue;
      c.socket.onSent = () => undefined;
      this.left(c);
    }
  }

  /** Whose presence `uid` asked for last. */
  watchedBy(uid: string): readonly string[] {
    return [...this.connected].find((c) => c.uid === uid)?.watch ?? [];
  }

  /** Sockets that are open now, of one person. */
  socketsOf(uid: string): number {
    return [...this.connected].filter((c) => c.uid === uid).length;
  }

  private left(c: Connected): void {
    this.connected.delete(c);
    this.tellPresence(c.uid);
  }

  private presence(c: Connected, user: string): void {
    const online = this.socketsOf(user) > 0;
    c.socket.deliver({ type: "presence", user, online, ...(online ? {} : { last_seen: this.clock.now() * 1000 }) });
  }

  private tellPresence(user: string): void {
    for (const c of [...this.connected]) if (c.watch.includes(user)) this.presence(c, user);
  }

  goaway(reason: string): void {
    for (const c of this.connected) c.socket.deliver({ type: "goaway", reason, within_ms: 3000 });
  }

  /** Redis comes back empty: another epoch. */
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

  private receive(c: Connected, f: Record<string, unknown>): void {
    if (!this.connected.has(c)) return;
    if (c.uid === "" && f["type"] !== "hello") {
      this.faults.push("a frame before hello");
      return;
    }
    switch (f["type"]) {
      case "hello":
        this.hello(c, String(f["token"]).split(" ")[0] ?? "", String(f["cursor"]));
        return;
      case "send":
        this.send(c, f);
        return;
      case "ack": {
        const [epoch = "", n = ""] = String(f["cursor"]).split(":");
        if (Number(epoch) !== this.epoch || c.epoch !== this.epoch) return;
        if (Number(n) > c.sentTo) this.faults.push("an ack of what this socket did not bring");
        c.ack = Math.max(c.ack, Number(n));
        this.acknowledge(c.uid, c.ack);
        return;
      }
      case "read":
        this.read(c.uid, String(f["conversation"]), Number(f["at"]));
        return;
      case "ping":
        c.socket.deliver({ type: "pong" });
        return;
      case "typing":
        for (const other of this.connected)
          if (other.uid === f["to"]) other.socket.deliver({ type: "typing", from: c.uid });
        return;
      case "watch":
        c.watch = (f["users"] as string[]) ?? [];
        for (const user of c.watch) this.presence(c, user);
        return;
    }
  }

  private hello(c: Connected, uid: string, cursor: string): void {
    if (this.redisDown) {
      this.connected.delete(c);
      c.socket.drop(1013);
      return;
    }
    c.uid = uid;
    c.epoch = this.epoch;
    this.tellPresence(uid);
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
    });
    c.sentTo = from;
    for (const entry of inbox.entries) if (entry.n > from) this.relay(c, entry);
    if (resumed) this.acknowledge(uid, from);
    c.socket.deliver({ type: "caught_up", cursor: `${this.epoch}:${c.sentTo}` });
  }

  private relay(c: Connected, entry: Entry): void {
    if (c.epoch !== this.epoch) return;
    c.sentTo = entry.n;
    c.socket.deliver({ type: "event", cursor: `${this.epoch}:${entry.n}`, event: entry.event });
  }

  private append(uid: string, event: Record<string, unknown>): number {
    const inbox = this.inbox(uid);
    const entry = { n: ++this.last, event };
    inbox.entries.push(entry);
    for (const c of [...this.connected]) {
      // Only sockets that were welcomed in this epoch are subscribed.
      if (c.uid === uid && c.epoch === this.epoch)
        this.clock.after(1, () => this.connected.has(c) && entry.n > c.sentTo && this.relay(c, entry));
    }
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
    const content = JSON.stringify({ ...message, accepted_at: 0 });
    const first = this.contents.get(id);
    if (first !== undefined && first !== content) this.faults.push(`message ${id} was changed: ${first} → ${content}`);
    this.contents.set(id, content);
    const refusal = this.refuse(message);
    if (refusal !== null) {
      c.socket.deliver({ type: "error", code: refusal, message: "It cannot be sent.", id });
      return;
    }
    if (this.redisDown) {
      c.socket.deliver({ type: "error", code: "unavailable", message: "Later.", id, retry_after_ms: 500 });
      return;
    }
    const inbox = this.inbox(to);
    if (!inbox.pending.has(id)) {
      inbox.pending.set(id, this.append(to, { type: "message", ...message }));
      this.append(c.uid, { type: "sent", ...message });
    }
    this.accepted.add(id);
    if (!this.loseAnswers) c.socket.deliver({ type: "sent", id, accepted_at: message.accepted_at });
  }

  private acknowledge(uid: string, n: number): void {
    const inbox = this.inbox(uid);
    const messages = inbox.entries.filter((e) => e.n > inbox.acked && e.n <= n && e.event["type"] === "message");
    inbox.acked = Math.max(inbox.acked, n);
    const now = this.clock.now() * 1000;
    for (const { event } of messages) {
      const { type: _, ...message } = event as unknown as { type: string } & ChatMessage;
      inbox.pending.delete(message.id);
      this.clock.after(this.saveDelay, () => this.archive.save([{ ...message, delivered_at: now }]));
      this.append(message.from, {
        type: "delivered",
        conversation: message.conversation,
        messages: [{ id: message.id, at: message.at }],
        delivered_at: now,
      });
    }
    // Trimming takes only what lies below the first unacknowledged message.
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
    if (this.redisDown) return;
    this.clock.after(this.saveDelay, () => this.archive.read(conversation, uid, at));
    for (const person of [uid, other]) this.append(person, { type: "read", conversation, by: uid, at });
  }
}
