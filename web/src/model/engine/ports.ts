/** The interface between the engine and the parts around it. */
import type { ArchiveApi } from "../../net/archive";
import type { HttpApi } from "../../net/http";
import type { Token } from "../../net/connection";
import type { Platform } from "../../platform/platform";
import type { LocalStore } from "../store/store";
import type { RuleContext } from "../store/rules";
import type { ServerLimits } from "../limits";
import type { ServerTime } from "../time";

/** Saved conversations and messages, as the HTTP functions return them. Methods reject with ApiProblem. */
export type Archive = Pick<ArchiveApi, "changes" | "conversations" | "messages" | "pages" | "saved">;

/** The parts that an engine is built from. */
export interface EngineParts {
  readonly platform: Platform;
  readonly uid: string;
  readonly store: LocalStore;
  readonly time: ServerTime;
  readonly limits: ServerLimits;
  readonly archive: Archive;
  readonly http: HttpApi;
  /** The sockets are background sockets (DESIGN §4). */
  readonly background?: boolean;
  /** See ConnectionOptions.url. */
  url(failed: boolean): Promise<string>;
  /** See ConnectionOptions.token. */
  token(refused: string | null): Promise<Token>;
}

/** The parts that receiving needs. */
export type InboundParts = Pick<EngineParts, "platform" | "uid" | "store" | "time" | "limits">;

/** Returns the user and the current times for the store's rules. */
export function contextOf(parts: Pick<EngineParts, "uid" | "platform" | "time">): RuleContext {
  return { uid: parts.uid, now: parts.platform.clock.now(), serverNow: parts.time.now() };
}
