/** A {@link Platform} whose clock, network and other tabs are controlled by a test. */
import type { Database, Shape, StorageRoot } from "../database";
import { StorageFull, StorageLost } from "../database";
import { MemoryDatabase, MemoryDisk } from "../memory";
import { OverlayDatabase } from "../overlay";
import type {
  Cancel,
  Channel,
  Clock,
  HttpAnswer,
  HttpRequest,
  LockHandlers,
  Notifier,
  Notes,
  NotifyPermission,
  Page,
  Platform,
  Random,
  Socket,
  SocketHandlers,
  Tabs,
} from "../platform";
import { NetworkError } from "../platform";

/** The number of running transactions of fake platforms. */
let busy = 0;

/** Waits for everything that waits only for the event loop and the database. */
export async function settle(): Promise<void> {
  // Each turn runs all microtasks. A transaction of fake-indexeddb takes many turns.
  for (let idle = 0; idle < 3; idle = busy > 0 ? 0 : idle + 1)
    await new Promise<void>((resolve) => setImmediate(resolve));
}

async function counted<T>(work: () => Promise<T>): Promise<T> {
  busy++;
  try {
    return await work();
  } finally {
    busy--;
  }
}

class Rehearsed extends Error {}

/**
 * Runs a transaction whose outcome does not count. Every transaction of a test is aborted once before it counts, as by a
 * page that leaves and comes back (see ../absence). So all tests show that bodies may run twice.
 */
async function rehearse(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch {
    // It was aborted here, or it fails when it counts as well.
  }
}

/** The server's end of a WebSocket, controlled by a test. */
export class FakeSocket {
  readonly url: string;
  readonly protocol: string;
  /** Texts that the client sent, in order. */
  readonly sent: string[] = [];
  state: "opening" | "open" | "closed" = "opening";
  /** The code with which the client closed the socket. Null if it did not. */
  closedByClient: number | null = null;
  private readonly handlers: SocketHandlers;
  /** Called with each text that the client sends, and when it closes the socket. */
  onSent: (text: string) => void = () => undefined;
  onClosed: () => void = () => undefined;

  constructor(url: string, protocol: string, handlers: SocketHandlers) {
    this.url = url;
    this.protocol = protocol;
    this.handlers = handlers;
  }

  accept(): void {
    if (this.state !== "opening") return;
    this.state = "open";
    this.handlers.onOpen();
  }

  /** The server sends a frame. */
  deliver(frame: unknown): void {
    if (this.state === "open") this.handlers.onText(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** The server or the network ends the socket. */
  drop(code: number): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.handlers.onClose(code, "");
  }

  /** The client's process is gone: nobody receives anything any more. */
  vanish(): void {
    this.state = "closed";
    this.onClosed();
  }

  readonly client: Socket = {
    send: (text) => {
      if (this.state !== "open") return;
      this.sent.push(text);
      this.onSent(text);
    },
    close: (code) => {
      if (this.state === "closed") return;
      this.state = "closed";
      this.closedByClient = code;
      this.onClosed();
    },
  };
}

/** Everything that survives the end of a process: the disks and notes of one browser, and its other tabs. */
export class FakeBrowser {
  readonly disks = new Map<string, MemoryDisk>();
  readonly notes = new Map<string, string>();
  readonly channels = new Map<string, Set<{ tab: FakePlatform; run: (message: unknown) => void }>>();
  readonly locks = new Map<string, Waiting[]>();
  /** While true, messages between tabs are lost. */
  losing = false;
  /** Locks are granted and messages are delivered on a later turn, as in a browser. */
  later(run: () => void): void {
    setImmediate(run);
  }
}

interface Waiting {
  readonly tab: FakePlatform;
  readonly handlers: LockHandlers;
  held: boolean;
}

export interface FakeOptions {
  /** A FakeClock, or real time for the fault crowd (web/fault). */
  readonly clock: Clock;
  readonly browser?: FakeBrowser;
  /** Opens databases. Default: the browser's memory disks. */
  readonly open?: (name: string, shape: Shape) => Promise<Database>;
  /** A number in [0, 1) per call. Default: a fixed sequence. */
  readonly random?: () => number;
}

export class FakePlatform implements Platform {
  /** This tab's view of the test's clock: off by `skew` ms, which may change, and silent when the tab is frozen or gone. */
  readonly clock: Clock;
  readonly browser: FakeBrowser;
  readonly storage: StorageRoot;
  readonly random: Random;
  skew = 0;
  /** Sockets that the client opened, in order. */
  readonly opened: FakeSocket[] = [];
  onSocket: (socket: FakeSocket) => void = () => undefined;
  /** Answers HTTP requests. Null: no network. */
  answer: ((request: HttpRequest) => Promise<HttpAnswer>) | null = null;
  /** A frozen tab runs nothing. Its messages wait. */
  frozen = false;
  private readonly frozenWork: (() => void)[] = [];
  /** Tests with databases of their own count transactions, or run many. */
  private readonly rehearses: boolean;
  private alive = true;
  private visibleNow = true;
  private focusedNow = true;
  private onlineNow = true;
  private readonly visibleListeners = new Set<(visible: boolean) => void>();
  private readonly leaveListeners = new Set<() => void>();
  private readonly focusListeners = new Set<() => void>();
  private readonly onlineListeners = new Set<(online: boolean) => void>();
  private readonly resumeListeners = new Set<() => void>();
  readonly reports: string[] = [];
  /** While true, write transactions fail as on a full disk. */
  full = false;
  /** Whether the code for a full disk can be loaded. If it cannot, nothing is accepted there. */
  overlays = false;
  /** Names of the caches that were deleted to free space. */
  readonly freed: string[] = [];
  /** Notifications that are shown now. */
  shown: { account: string; title: string; body: string; tag: string; silent: boolean }[] = [];
  permission: NotifyPermission = "unasked";
  badge = 0;

  constructor(options: FakeOptions) {
    const { clock } = options;
    this.clock = {
      now: () => clock.now() + this.skew,
      monotonic: () => clock.monotonic(),
      after: (ms, run) => clock.after(ms, () => this.run(run)),
    };
    this.browser = options.browser ?? new FakeBrowser();
    let seed = 1;
    const next =
      options.random ??
      (() => {
        seed = (seed * 48271) % 2147483647;
        return seed / 2147483647;
      });
    this.random = {
      unit: next,
      bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256)),
    };
    this.rehearses = options.open === undefined;
    const openAny = options.open ?? (async (name: string, shape: Shape) => this.openDisk(name, shape));
    this.storage = {
      open: async (name, shape) => this.guard(await counted(() => openAny(name, shape))),
      openMemory: (shape) => Promise.resolve(new MemoryDatabase(new MemoryDisk(shape))),
      openOverlay: async (below, shape) => {
        if (!this.overlays) throw new NetworkError("no network");
        return new OverlayDatabase(below, shape);
      },
      freeCache: async (name) => void this.freed.push(name),
      remove: async (name) => void this.browser.disks.delete(name),
      persist: async () => undefined,
    };
  }

  private openDisk(name: string, shape: Shape): Database {
    let disk = this.browser.disks.get(name);
    if (!disk) {
      disk = new MemoryDisk(shape);
      this.browser.disks.set(name, disk);
    }
    const db = new MemoryDatabase(disk);
    // As durable as this test's browser.
    return Object.defineProperty(db, "durable", { value: true });
  }

  /** Lets the test fill the disk, and end the process in the middle of a transaction. */
  private guard(db: Database): Database {
    const end = (): void => {
      if (!this.alive) throw new StorageLost("the process has ended");
    };
    return {
      durable: db.durable,
      read: async (stores, body) => {
        end();
        const value = await counted(async () => {
          if (this.rehearses) await rehearse(() => db.read(stores, body));
          return await db.read(stores, body);
        });
        end();
        return value;
      },
      write: async (stores, body) => {
        end();
        const value = await counted(async () => {
          if (this.rehearses)
            await rehearse(() =>
              db.write(stores, async (tx) => {
                await body(tx);
                throw new Rehearsed();
              }),
            );
          return await db.write(stores, async (tx) => {
            const result = await body(tx);
            end();
            if (this.full) throw new StorageFull("the disk of this test is full");
            return result;
          });
        });
        // A process that ended after the commit does not get the result.
        if (!this.alive) await new Promise(() => undefined);
        return value;
      },
      onLost: (run) => db.onLost(run),
      close: () => db.close(),
    };
  }

  readonly http = {
    request: async (request: HttpRequest): Promise<HttpAnswer> => {
      if (!this.answer) throw new NetworkError("no network");
      return await this.answer(request);
    },
  };

  readonly sockets = {
    open: (url: string, protocol: string, handlers: SocketHandlers): Socket => {
      const guarded: SocketHandlers = {
        onOpen: () => this.run(() => handlers.onOpen()),
        onText: (text) => this.run(() => handlers.onText(text)),
        onClose: (code, reason) => this.run(() => handlers.onClose(code, reason)),
      };
      const socket = new FakeSocket(url, protocol, guarded);
      this.opened.push(socket);
      this.onSocket(socket);
      return socket.client;
    },
  };

  /** False: a browser without Web Locks. */
  set locks(supported: boolean) {
    this.tabs.supported = supported;
  }

  readonly tabs: Tabs & { supported: boolean } = {
    supported: true,
    channel: (name, onMessage): Channel => {
      const all = this.browser.channels.get(name) ?? new Set();
      this.browser.channels.set(name, all);
      const mine = { tab: this, run: onMessage };
      all.add(mine);
      return {
        post: (message) => {
          if (!this.alive || this.browser.losing) return;
          const copy: unknown = structuredClone(message);
          for (const other of [...all])
            if (other !== mine) this.browser.later(() => all.has(other) && other.tab.run(() => other.run(copy)));
        },
        close: () => void all.delete(mine),
      };
    },
    lock: (name, steal, handlers): Cancel => {
      const queue = this.browser.locks.get(name) ?? [];
      this.browser.locks.set(name, queue);
      const mine: Waiting = { tab: this, handlers, held: false };
      if (steal) {
        for (const other of queue.filter((w) => w.held)) {
          queue.splice(queue.indexOf(other), 1);
          this.browser.later(() => other.tab.run(() => other.handlers.onLost()));
        }
        queue.unshift(mine);
      } else queue.push(mine);
      this.grant(name);
      return () => {
        const at = queue.indexOf(mine);
        if (at >= 0) queue.splice(at, 1);
        this.grant(name);
      };
    },
  };

  private grant(name: string): void {
    const queue = this.browser.locks.get(name) ?? [];
    const [first] = queue;
    if (!first || first.held) return;
    first.held = true;
    this.browser.later(() => first.tab.run(() => queue.includes(first) && first.handlers.onHeld()));
  }

  readonly page: Page = {
    origin: "https://chat.test/",
    visible: () => this.visibleNow,
    onVisible: (run) => listen(this.visibleListeners, run),
    onLeave: (run) => listen(this.leaveListeners, run),
    focused: () => this.visibleNow && this.focusedNow,
    onFocused: (run) => listen(this.focusListeners, run),
    online: () => this.onlineNow,
    onOnline: (run) => listen(this.onlineListeners, run),
    onResume: (run) => listen(this.resumeListeners, run),
  };

  readonly notes: Notes = {
    get: (key) => this.browser.notes.get(key) ?? null,
    set: (key, value) => void this.browser.notes.set(key, value),
    remove: (key) => void this.browser.notes.delete(key),
  };

  readonly notifier: Notifier = {
    permission: () => this.permission,
    ask: async () => {
      if (this.permission === "unasked") this.permission = "granted";
      return this.permission;
    },
    show: ({ account, title, body, tag, silent }) => {
      this.shown = [...this.shown.filter((n) => n.tag !== tag), { account, title, body, tag, silent }];
    },
    withdraw: (tag) => {
      this.shown = this.shown.filter((n) => n.tag !== tag);
    },
    withdrawAll: (account) => {
      this.shown = this.shown.filter((n) => n.account === account);
    },
    badge: (count) => {
      this.badge = count;
    },
  };

  report(what: string): void {
    this.reports.push(what);
  }

  setVisible(visible: boolean): void {
    this.visibleNow = visible;
    for (const run of [...this.visibleListeners]) this.run(() => run(visible));
  }

  /** Reloads or leaves the page: synchronous work is done, and everything else ends. */
  leave(): void {
    for (const run of [...this.leaveListeners]) this.run(run);
    this.kill();
  }

  setFocused(focused: boolean): void {
    this.focusedNow = focused;
    for (const run of [...this.focusListeners]) this.run(run);
  }

  setOnline(online: boolean): void {
    this.onlineNow = online;
    for (const run of [...this.onlineListeners]) this.run(() => run(online));
  }

  /** Freezes the tab as browsers do with hidden ones. Events that arrive meanwhile wait. */
  freeze(): void {
    this.frozen = true;
  }

  thaw(): void {
    this.frozen = false;
    for (const work of this.frozenWork.splice(0)) work();
    for (const run of [...this.resumeListeners]) run();
  }

  /** Ends the process without a warning: none of its code runs any more, and its sockets are gone. */
  kill(): void {
    this.alive = false;
    for (const socket of this.opened) if (socket.state !== "closed") socket.vanish();
    for (const all of this.browser.channels.values()) for (const c of [...all]) if (c.tab === this) all.delete(c);
    for (const [name, queue] of this.browser.locks) {
      const left = queue.filter((w) => w.tab !== this);
      queue.splice(0, queue.length, ...left);
      this.grant(name);
    }
  }

  private run(work: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.frozenWork.push(work);
    else work();
  }
}

function listen<T>(set: Set<T>, run: T): Cancel {
  set.add(run);
  return () => set.delete(run);
}
