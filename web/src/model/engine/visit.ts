/**
 * A visit of a service worker, while no page is open: fetches what waits, stores it by the rules of the engine,
 * acknowledges it, and ends. It sends nothing else, and does not load history. The next page does both.
 */
import { Connection } from "../../net/connection";
import type { Cancel } from "../../platform/platform";
import type { MessageRow } from "../store/rows";
import { Inbound } from "./inbound";
import type { EngineParts, InboundParts } from "./ports";

/**
 * How long a visit stays after everything was stored. Acks may be on their way, and messages often come in groups.
 */
const LINGER_MS = 500;

export type VisitParts = InboundParts & Pick<EngineParts, "url" | "token">;

/** `done`: everything that waited is stored. `ended`: the sign-in is not valid any more. */
export type VisitEnd = "done" | "ended" | "stopped";

export class Visit {
  private readonly connection: Connection;
  private readonly inbound: Inbound;
  private readonly parts: VisitParts;
  private device = "";
  private lingering: Cancel | null = null;
  private finish: (end: VisitEnd) => void = () => undefined;
  private readonly over = new Promise<VisitEnd>((resolve) => (this.finish = resolve));

  constructor(parts: VisitParts) {
    this.parts = parts;
    this.inbound = new Inbound(parts, {
      onCaughtUp: () => {
        this.lingering ??= parts.platform.clock.after(LINGER_MS, () => this.end("done"));
      },
      onAnswered: () => undefined,
      onReceived: (_messages: readonly MessageRow[]) => undefined,
      onUnavailable: () => undefined,
      onBadLink: (link) => link.fail(),
    });
    this.connection = new Connection(
      parts.platform,
      {
        url: (failed) => parts.url(failed),
        token: (refused) => parts.token(refused),
        hello: () => ({ device: this.device, cursor: this.inbound.cursor, background: true }),
      },
      {
        onState: () => undefined,
        onFrame: (link, frame) => void this.inbound.accept(link, frame),
        onUnreadable: (link) => this.inbound.noteUnreadable(link),
        onLive: () => undefined,
        onEnded: (link) => this.inbound.detach(link),
        onSignInEnded: () => this.end("ended"),
      },
    );
  }

  /** Connects, and resolves when the visit has ended. Rejects if the store cannot be read. Call it once. */
  async run(): Promise<VisitEnd> {
    const { cursor, device, offset } = await this.parts.store.read(async (tx) => ({
      cursor: await tx.meta("cursor"),
      device: await tx.meta("device"),
      offset: (await tx.meta("clock"))?.offset ?? 0,
    }));
    // Without the id of its device, this would be another one.
    if (!device) return "stopped";
    this.device = device.id;
    this.inbound.cursor = cursor?.cursor ?? "";
    this.parts.time.rememberOffset(offset);
    this.connection.start();
    return await this.over;
  }

  /** Ends the visit. What was stored is acknowledged. */
  stop(): void {
    this.end("stopped");
  }

  private end(end: VisitEnd): void {
    this.finish(end);
    this.lingering?.();
    this.connection.stop();
    this.inbound.stop();
  }
}
