import type { BrowserContext, WebSocketRoute } from "@playwright/test";

/** A frame of the protocol; see realtime/wire. */
export interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly event?: { readonly type: string; readonly id?: string };
}

interface Pair {
  readonly page: WebSocketRoute;
  readonly server: WebSocketRoute;
}

/** The WebSockets between one browser and the system: seen, held up and cut. */
export class Sockets {
  readonly #open = new Set<Pair>();
  readonly #held: (() => void)[] = [];
  #hold: ((frame: Frame) => boolean) | null = null;
  #mute: ((frame: Frame) => boolean) | null = null;
  #down = false;

  /** What the browser has sent and received, oldest first. */
  readonly sent: Frame[] = [];
  readonly received: Frame[] = [];
  /** How many sockets were opened. */
  opened = 0;

  async watch(context: BrowserContext): Promise<void> {
    await context.routeWebSocket(/\/ws$/, (page) => {
      if (this.#down) {
        void page.close({ code: 1001 });
        return;
      }
      this.opened++;
      const pair = { page, server: page.connectToServer() };
      this.#open.add(pair);
      page.onMessage((data) => {
        const frame = parse(data);
        this.sent.push(frame);
        if (this.#hold?.(frame)) this.#held.push(() => pair.server.send(data));
        else pair.server.send(data);
      });
      pair.server.onMessage((data) => {
        const frame = parse(data);
        this.received.push(frame);
        if (!this.#mute?.(frame)) page.send(data);
      });
      page.onClose((code, reason) => {
        this.#open.delete(pair);
        void pair.server.close(closing(code, reason));
      });
      pair.server.onClose((code, reason) => {
        this.#open.delete(pair);
        void page.close(closing(code, reason));
      });
    });
  }

  /** Keeps back the browser's frames that `which` picks, until {@link release}. */
  hold(which: (frame: Frame) => boolean): void {
    this.#hold = which;
  }

  /** Sends on what was kept back, in order, and keeps nothing back any more. */
  release(): void {
    this.#hold = null;
    for (const send of this.#held.splice(0)) send();
  }

  /** Forgets what was kept back, as a network that fails does, and keeps nothing back any more. */
  drop(): void {
    this.#hold = null;
    this.#held.length = 0;
  }

  /** Loses the server's frames that `which` picks, until called with null. */
  mute(which: ((frame: Frame) => boolean) | null): void {
    this.#mute = which;
  }

  /** How many sockets are open now. */
  get open(): number {
    return this.#open.size;
  }

  /** How many frames are being kept back. */
  get held(): number {
    return this.#held.length;
  }

  /** Breaks every open socket, as a lost network does; the next one may come at once. */
  async cut(): Promise<void> {
    const pairs = [...this.#open];
    this.#open.clear();
    for (const { page, server } of pairs) {
      await server.close({ code: 1001 });
      await page.close({ code: 1001 });
    }
  }

  /** Breaks every open socket and lets no new one through. Requests still work. */
  async close(): Promise<void> {
    this.#down = true;
    await this.cut();
  }

  /**
   * Takes the network away from the browser: open sockets break, new ones fail, and so do requests.
   * The sockets go first: Chromium's network process keeps a core busy for as long as one is open while it plays "offline".
   */
  async offline(context: BrowserContext): Promise<void> {
    await this.close();
    await context.setOffline(true);
  }

  async online(context: BrowserContext): Promise<void> {
    this.#down = false;
    await context.setOffline(false);
  }
}

function parse(data: string | Buffer): Frame {
  return JSON.parse(data.toString()) as Frame;
}

/** Codes that only the browser itself may give (1005, 1006) cannot be passed on. */
function closing(code: number | undefined, reason: string | undefined): { code?: number; reason?: string } {
  if (code === undefined || code === 1005 || code === 1006) return {};
  return { code, ...(reason === undefined ? {} : { reason }) };
}
