/**
 * The part of the model that talks to the server over the socket. It runs in one tab of a browser (see ../tabs), works
 * on the store, and reports to other parts only what is not stored.
 *
 *    links → Inbound → store ─┬→ Sender (outbox)
 *                             ├→ ReadMarks
 *                             ├→ SettingSender
 *                             └→ Backfiller
 *
 * Two engines may run on one store (when a frozen tab thaws). They repeat work and lose nothing, because every step may
 * be repeated.
 */
import { Connection, type ConnectionState, type EndReason } from "../../net/connection";
import { loadCode } from "../../platform/code";
import type { Link } from "../../net/link";
import type { ServerFrame } from "../../protocol/frames";
import type { Cancel } from "../../platform/platform";
import type { MessageRow } from "../store/rows";
import { type HintHandlers, Hints } from "./hints";
import { Inbound, noteGap } from "./inbound";
import { Backfiller } from "./backfiller";
import { ReadMarks } from "./marks";
import type { EngineParts } from "./ports";
import { Sender } from "./sender";
import type { SettingSender } from "./settings";

export interface EngineHandlers extends HintHandlers {
  onState(state: ConnectionState): void;
  /** Messages of others that were stored for the first time, and own ones to which the other user has just reacted. */
  onReceived(messages: readonly MessageRow[]): void;
  /** The account may not connect any more. The engine has stopped. */
  onSignInEnded(reason: EndReason): void;
}

export class Engine {
  private readonly parts: EngineParts;
  private readonly connection: Connection;
  private readonly inbound: Inbound;
  private readonly sender: Sender;
  private readonly marks: ReadMarks;
  private settings: SettingSender | null = null;
  private readonly hints: Hints;
  private readonly backfiller: Backfiller;
  /** The link to send on. Set once it has caught up and everything up to there is stored. */
  private live: Link | null = null;
  private device = "";
  private stopped = false;
  private unlisten: Cancel | null = null;

  constructor(parts: EngineParts, handlers: EngineHandlers) {
    this.parts = parts;
    this.backfiller = new Backfiller(parts, () => this.sender.wake());
    this.sender = new Sender(parts, { onCheckNeeded: (conversation) => this.backfiller.check(conversation) });
    this.marks = new ReadMarks(parts);
    this.hints = new Hints(parts, handlers);
    this.inbound = new Inbound(parts, {
      onCaughtUp: (link) => {
        if (link === this.live) this.attach(link);
      },
      onAnswered: (link, id, accepted) => this.sender.onAnswer(link, id, accepted),
      onReceived: (messages) => handlers.onReceived(messages),
      onUnavailable: (uid) => handlers.onPresence(uid, { online: null, lastSeen: null }),
      onBadLink: (link) => link.fail(),
    });
    this.connection = new Connection(
      parts.platform,
      {
        url: (failed) => parts.url(failed),
        token: (refused) => parts.token(refused),
        hello: () => ({
          device: this.device,
          cursor: this.inbound.cursor,
          ...(parts.background ? { background: true } : { looking: this.hints.greet() }),
        }),
      },
      {
        onState: (state) => handlers.onState(state),
        onFrame: (link, frame) => this.receive(link, frame),
        onUnreadable: (link) => this.inbound.noteUnreadable(link),
        onLive: (link) => {
          this.live = link;
          this.backfiller.reachable();
          void this.sendSettings();
        },
        onEnded: (link) => this.detach(link),
        onSignInEnded: (reason) => {
          this.stop();
          handlers.onSignInEnded(reason);
        },
      },
    );
  }

  /** Reads the cursor and connects; see {@link Connection.start}. Rejects if the store cannot be read. */
  async start(standAsideUntil = 0): Promise<void> {
    const { store } = this.parts;
    const { cursor, device, offset } = await store.read(async (tx) => ({
      cursor: await tx.meta("cursor"),
      device: (await tx.meta("device"))?.id,
      offset: (await tx.meta("clock"))?.offset ?? 0,
    }));
    const stored = store.full ? await store.readDisk((tx) => tx.meta("cursor")) : cursor;
    if (this.stopped) return;
    this.inbound.cursor = stored?.cursor ?? "";
    this.parts.time.rememberOffset(offset);
    this.device = device ?? hex(this.parts.platform.random.bytes(12));
    if (device === undefined) {
      await this.parts.store.write((tx) => tx.putMeta({ name: "device", id: this.device }));
      if (this.stopped) return;
    }
    this.unlisten = this.parts.store.onChange((change) => {
      if (change.all) void this.checkStore();
      if (change.work.includes("send")) this.sender.wake();
      if (change.work.includes("read")) this.marks.wake();
      if (change.work.includes("setting")) void this.sendSettings();
      if (change.work.includes("backfill")) this.backfiller.wake();
    });
    this.connection.start(standAsideUntil);
  }

  /**
   * Notices that the database is a new, empty one, because the browser has evicted the old one. The link goes on where
   * it is, so everything that was received before is to be loaded from history.
   */
  private async checkStore(): Promise<void> {
    const { store, platform } = this.parts;
    try {
      await store.write(async (tx) => {
        if (this.stopped || (await tx.meta("device")) !== undefined) return;
        await tx.putMeta({ name: "device", id: this.device });
        await noteGap(tx, this.parts, 0);
      });
    } catch (err) {
      platform.report("the database could not be checked", err);
    }
  }

  /** Sends the settings that wait for that, if there are any. Then its code is loaded. */
  private async sendSettings(): Promise<void> {
    const { platform, store } = this.parts;
    try {
      if (!this.live || (await store.read((tx) => tx.unsentSettings())).length === 0) return;
      const { SettingSender } = await loadCode(() => import("./settings"));
      if (this.stopped) return;
      this.settings ??= new SettingSender(this.parts);
      this.settings.wake();
    } catch (err) {
      // They are sent after the next choice, or with the next connection.
      platform.report("the settings could not be sent", err);
    }
  }

  /** Stops everything. Stored data stays. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.unlisten?.();
    this.inbound.stop();
    this.sender.stop();
    this.marks.stop();
    this.settings?.stop();
    this.hints.stop();
    this.backfiller.stop();
    this.connection.stop();
    this.live = null;
  }

  tryNow(): void {
    this.connection.tryNow();
  }

  renewToken(): void {
    this.connection.renewToken();
  }

  watch(uids: readonly string[]): void {
    this.hints.watch(uids);
  }

  typing(to: string): void {
    this.hints.typing(to);
  }

  /** Reports whether the user works with a window of this device. */
  look(looking: boolean): void {
    this.hints.look(looking);
  }

  private receive(link: Link, frame: ServerFrame): void {
    // A new device shows the server's list while the events of the past arrive.
    if (frame.type === "welcome" && this.inbound.cursor === "") this.backfiller.reachable();
    if (this.inbound.accept(link, frame)) return;
    if (frame.type === "error") this.sender.onRetryableRefusal(link, frame);
    else this.hints.handle(frame);
  }

  private attach(link: Link): void {
    this.sender.attach(link);
    this.marks.attach(link);
    if (!this.parts.background) this.hints.attach(link);
    this.backfiller.wake();
  }

  private detach(link: Link): void {
    if (this.live === link) this.live = null;
    this.inbound.detach(link);
    this.sender.detach(link);
    this.marks.detach(link);
    this.hints.detach(link);
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
