/** The fake server's end of one socket. It sends the events of an inbox in order, within the flow-control window. */
import type { FakeClock } from "../../platform/testing/clock";
import type { FakeSocket } from "../../platform/testing/fake";
import { awaitsAck, type Inboxes } from "./inboxes";

/** The parts of the server that its sockets use. */
interface Server {
  readonly clock: FakeClock;
  readonly inboxes: Inboxes;
  /** The limits in `welcome`. */
  readonly limits: { readonly unacked: number };
}

export class ServerSocket {
  readonly socket: FakeSocket;
  private readonly server: Server;
  uid = "";
  /** The epoch in which the device was greeted. */
  epoch: number;
  /** The newest entry that was sent on it. */
  sentTo = 0;
  /** The highest ack received. It is applied as far as entries were sent. */
  ack = 0;
  /** The messages that were sent on it and are not acknowledged, oldest first. */
  private unacked: number[] = [];
  /** Set while the window is full: nothing is sent until half of it is acknowledged. */
  private paused = false;
  /** Whether caught_up was sent. */
  private live = false;
  watch: readonly string[] = [];
  /** The user looks at the device. */
  looking = false;
  /** Outside presence. */
  background = false;

  constructor(socket: FakeSocket, server: Server) {
    this.socket = socket;
    this.server = server;
    this.epoch = server.inboxes.epoch;
  }

  deliver(frame: object): void {
    this.socket.deliver(frame);
  }

  /** Greets the device, which has everything up to the entry `from`. */
  welcome(resumed: boolean, from: number): void {
    const { clock, limits } = this.server;
    this.deliver({ type: "welcome", uid: this.uid, now: clock.now() * 1000, resumed, limits, changes: true });
    this.sentTo = from;
  }

  /** The device has acknowledged everything up to `n`. */
  acknowledge(n: number): void {
    this.ack = Math.max(this.ack, n);
    this.unacked = this.unacked.filter((sent) => sent > this.ack);
  }

  /**
   * Sends the events of the inbox after the last one that was sent, as far as the window of unacknowledged messages
   * allows. Call it only for sockets that are connected.
   */
  relayAll(): void {
    const { inboxes, limits } = this.server;
    // Only sockets that were welcomed in this epoch are subscribed.
    if (this.epoch !== inboxes.epoch) return;
    if (this.paused && this.unacked.length > limits.unacked / 2) return;
    this.paused = false;
    const inbox = inboxes.of(this.uid);
    // Another device has acknowledged what this one was not sent, and it is gone.
    if (this.sentTo < inbox.floor) this.welcome(false, inbox.floor);
    for (const { n, event } of inbox.after(this.sentTo)) {
      if (this.unacked.length >= limits.unacked) {
        this.paused = true;
        return;
      }
      this.sentTo = n;
      if (awaitsAck(event)) this.unacked.push(n);
      this.deliver({ type: "event", cursor: `${this.epoch}:${n}`, event });
    }
    if (this.live) return;
    this.live = true;
    this.deliver({ type: "caught_up", cursor: `${this.epoch}:${this.sentTo}` });
  }
}
