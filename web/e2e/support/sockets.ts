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
  /** How many frames of the browser the server has still to answer: its "hello", then every "ping". */
  unanswered: number;
}

/** The WebSockets between one browser and the system. They can be watched, delayed and cut. */
export class Sockets {
  readonly #open = new Set<Pair>();
  readonly #held: (() => void)[] = [];
  #hold: ((frame: Frame) => boolean) | null = null;
  #mute: ((frame: Frame) => boolean) | null = null;
  #down = false;

  /** The frames that the browser has sent and received, oldest first. */
  readonly sent: Frame[] = [];
  readonly received: Frame[] = [];
  /** How many sockets the browser has opened. */
  opened = 0;
  /** How many it has tried to open while it could not. */
  refused = 0;

  async watch(context: BrowserContext): Promise<void> {
    await context.routeWebSocket(/\/ws$/, (page) => {
      if (this.#down) {
        this.refused++;
        void page.close({ code: 1001 });
        return;
      }
      this.opened++;
      const pair: Pair = { page, server: page.connectToServer(), unanswered: 1 };
      this.#open.add(pair);
      page.onMessage((data) => {
        const frame = parse(data);
        this.sent.push(frame);
        if (frame.type === "ping") pair.unanswered++;
        if (this.#hold?.(frame)) this.#held.push(() => pair.server.send(data));
        else pair.server.send(data);
      });
      pair.server.onMessage((data) => {
        const frame = parse(data);
        this.received.push(frame);
        if (frame.type === "welcome" || frame.type === "pong") pair.unanswered--;
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

  /** Holds back the frames of the browser that `which` selects, until {@link release}. */
  hold(which: (frame: Frame) => boolean): void {
    this.#hold = which;
  }

  /** Sends the held frames in order, and stops holding frames back. */
  release(): void {
    this.#hold = null;
    for (const send of this.#held.splice(0)) send();
  }

  /** Drops the held frames, as a failing network does, and stops holding frames back. */
  drop(): void {
    this.#hold = null;
    this.#held.length = 0;
  }

  /** Drops the frames of the server that `which` selects, until called with null. */
  mute(which: ((frame: Frame) => boolean) | null): void {
    this.#mute = which;
  }

  /** How many sockets are open now. */
  get open(): number {
    return this.#open.size;
  }

  /**
   * Resolves once the server has answered on the open sockets, including the "hello" of a new socket, and after `within`
   * ms in any case, because the page may need its clock to send the frame that is answered.
   */
  async answered(within: number): Promise<void> {
    const end = Date.now() + within;
    while ([...this.#open].some((pair) => pair.unanswered > 0) && Date.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** How many frames are held back. */
  get held(): number {
    return this.#held.length;
  }

  /** Cuts every open socket, as a lost network does. The browser may open a new one at once. */
  async cut(): Promise<void> {
    const pairs = [...this.#open];
    this.#open.clear();
    for (const { page, server } of pairs) {
      await server.close({ code: 1001 });
      await page.close({ code: 1001 });
    }
  }

  /** Cuts every open socket and rejects new ones. Requests still work. */
  async close(): Promise<void> {
    this.#down = true;
    await this.cut();
  }

  /**
   * Takes the browser offline: open sockets are cut, and new ones and requests fail. The sockets are cut first, because
   * the network process of Chromium keeps a core busy while one is open in its "offline" mode.
   */
  async offline(context: BrowserContext): Promise<void> {
    await this.close();
    await context.setOffline(true);
  }

  /** Ends {@link close}. */
  reopen(): void {
    this.#down = false;
  }

  async online(context: BrowserContext): Promise<void> {
    this.reopen();
    await context.setOffline(false);
  }
}

function parse(data: string | Buffer): Frame {
  return JSON.parse(data.toString()) as Frame;
}

/** Omits the codes 1005 and 1006, which only a browser may report, and which cannot be sent. */
function closing(code: number | undefined, reason: string | undefined): { code?: number; reason?: string } {
  if (code === undefined || code === 1005 || code === 1006) return {};
  return { code, ...(reason === undefined ? {} : { reason }) };
}
