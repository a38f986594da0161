/** One device of one user without a screen, driven by the tests of the client rules. */
import { ArchiveApi } from "../../net/archive";
import { HttpApi } from "../../net/http";
import type { ConnectionState, Token } from "../../net/connection";
import { conversationId } from "../../protocol/chat";
import "../engine/settings"; // otherwise its code would be loaded in the midst of a test, while the clock moves on
import type { Changes } from "../../protocol/changes";
import { uuidv7 } from "../../protocol/uuid";
import type { FakePlatform } from "../../platform/testing/fake";
import { Engine } from "../engine/engine";
import { contextOf, type EngineParts } from "../engine/ports";
import { History } from "../history";
import type { Presence } from "../interface/chat";
import type { OwnChange } from "../interface/conversation";
import { ServerLimits } from "../limits";
import { LocalStore } from "../store/store";
import { enqueue } from "../store/outbox";
import { moveMyRead } from "../store/readMarks";
import { changeRules, loadChangeRules } from "../store/rules";
import type { MessageRow } from "../store/rows";
import { emptyConversation } from "../store/tx";
import { ServerTime } from "../time";

const HOUR_MS = 3_600_000;

export interface SeenMessage {
  id: string;
  key: string;
  status: string;
  body: string;
  changes?: Changes;
  at: number | null;
  code?: string;
}

/** The state of a device in the form of the scenarios (realtime/wire/testdata/scenarios/README.md). */
export interface SeenState {
  conversations: Record<string, { messages: SeenMessage[]; unread: number; read: number }>;
  outbox: string[];
  unsent_reads: Record<string, number>;
  cursor: string;
  backfills: { history: boolean; ids: string[] };
}

/** The parts of a device that a test may replace. */
export interface DeviceOptions {
  /** Default: a text with the uid, valid for an hour. */
  readonly token?: () => Promise<Token>;
  /** Called on each change of the connection. */
  readonly onState?: (state: ConnectionState) => void;
}

export class Device {
  readonly platform: FakePlatform;
  readonly uid: string;
  readonly store: LocalStore;
  engine: Engine;
  readonly history: History;
  readonly parts: EngineParts;
  readonly states: ConnectionState[] = [];
  /** Keys of messages that were reported as received. Each must appear once. */
  readonly received: string[] = [];
  /** The presence of other users as the server reported it, in order. */
  readonly presences: { readonly uid: string; readonly presence: Presence }[] = [];
  readonly typing: string[] = [];
  ended: string | null = null;
  tokens = 0;
  /** Starts another engine, as TabLeader does once a full disk has space again. */
  private readonly restartEngine: () => Promise<void>;

  static async start(platform: FakePlatform, uid: string, options: DeviceOptions = {}): Promise<Device> {
    const device = new Device(platform, uid, await LocalStore.open(platform, uid, await loadChangeRules()), options);
    await device.engine.start();
    let { full } = device.store;
    device.store.storage.subscribe(() => {
      const ended = full && !device.store.full;
      ({ full } = device.store);
      if (ended) void device.restartEngine();
    });
    return device;
  }

  private constructor(platform: FakePlatform, uid: string, store: LocalStore, options: DeviceOptions) {
    this.platform = platform;
    this.uid = uid;
    this.store = store;
    const own = async (): Promise<Token> => {
      this.tokens++;
      return { value: `${uid} ${this.tokens}`, endsAt: platform.clock.now() + HOUR_MS };
    };
    const token = options.token ?? own;
    const http = new HttpApi(platform, { base: async () => "https://chat.test/api", token });
    const archive = new ArchiveApi(http, (what) => platform.report(what));
    this.parts = {
      platform,
      uid,
      store,
      time: new ServerTime(platform.clock),
      limits: new ServerLimits(),
      archive,
      http,
      token,
      url: async () => "wss://chat.test/ws",
    };
    this.engine = this.newEngine(options);
    this.restartEngine = async () => {
      this.engine.stop();
      this.engine = this.newEngine(options);
      await this.engine.start();
    };
    this.history = new History({ store, archive, context: () => contextOf(this.parts) });
  }

  private newEngine(options: DeviceOptions): Engine {
    return new Engine(this.parts, {
      onState: (state) => {
        this.states.push(state);
        options.onState?.(state);
      },
      onPresence: (other, presence) => this.presences.push({ uid: other, presence }),
      onProfile: () => undefined,
      onTyping: (other) => this.typing.push(other),
      onReceived: (messages) => this.received.push(...messages.map((m) => m.key)),
      onSignInEnded: (reason) => {
        this.ended = reason;
      },
    });
  }

  /** Kills the process without a warning. Stored data stays in the platform's browser. */
  kill(): void {
    this.platform.kill();
  }

  /** Types a message. The value is its id. */
  async send(to: string, body: string, replyTo: string | null = null): Promise<string> {
    const id = uuidv7(this.platform.clock.now(), this.platform.random.bytes(10));
    await this.store.write((tx) => enqueue(tx, contextOf(this.parts), { id, to, body, replyTo }));
    return id;
  }

  /** Changes a message, as its menu does. */
  async change(conversation: string, key: string, change: OwnChange): Promise<void> {
    const id = uuidv7(this.platform.clock.now(), this.platform.random.bytes(10));
    await this.store.write((tx) =>
      changeRules(tx).makeChange(tx, contextOf(this.parts), { id, conversation, key }, change),
    );
  }

  /** Reads up to a message, as somebody who has accepted the request: read marks of requests are not sent. */
  async read(conversation: string, at: number): Promise<void> {
    await this.store.write(async (tx) => {
      const [a = "", b = ""] = conversation.split("~");
      const row = (await tx.conversation(conversation)) ?? emptyConversation(conversation, a === this.uid ? b : a);
      await moveMyRead(tx, { ...row, answered: true }, at, this.platform.clock.now());
    });
  }

  /** Opens a conversation, as its screen does. */
  async open(conversation: string): Promise<void> {
    await this.history.refresh(conversation).catch(() => undefined);
  }

  messages(other: string): Promise<MessageRow[]> {
    return this.store.read((tx) => tx.messagesFrom(conversationId(this.uid, other), 0));
  }

  async see(): Promise<SeenState> {
    return await this.store.read(async (tx) => {
      const conversations: SeenState["conversations"] = {};
      for (const c of await tx.conversations()) {
        const rows = await tx.messagesFrom(c.id, 0);
        const messages = rows.map((r): SeenMessage => {
          const read = r.status === "delivered" && (r.at ?? 0) <= c.otherRead;
          return {
            id: r.id,
            key: r.key,
            status: read ? "read" : r.status,
            body: r.body,
            ...(r.changes ? { changes: r.changes } : {}),
            at: r.at,
            ...(r.refusal ? { code: r.refusal.code } : {}),
          };
        });
        conversations[c.id] = { messages, unread: c.unread, read: c.myRead };
      }
      const gap = await tx.gap();
      const backfills = await tx.backfills();
      return {
        conversations,
        outbox: (await tx.outbox()).map((r) => r.id),
        unsent_reads: Object.fromEntries((await tx.unsentReads()).map((c) => [c.id, c.myRead])),
        cursor: (await tx.meta("cursor"))?.cursor ?? "",
        backfills: {
          history: gap.due !== null,
          ids: backfills
            .filter((d) => d.kind === "delivered")
            .map((d) => d.id)
            .sort(),
        },
      };
    });
  }
}
