/** Opens everything that runs for a signed-in user. This is one module, so that it is loaded only after a sign-in. */
import { ArchiveApi } from "../../net/archive";
import type { Token } from "../../net/connection";
import type { HttpApi } from "../../net/http";
import type { Account } from "../../net/identity";
import { OwnApi } from "../../net/own";
import type { Platform } from "../../platform/platform";
import type { Chat } from "../interface/chat";
import { ServerLimits } from "../limits";
import { LocalStore } from "../store/store";
import { ServerTime } from "../time";
import { ChatModel, type ChatHandlers } from "./chat";

export interface OpenChatParts {
  readonly platform: Platform;
  readonly account: Account;
  readonly http: HttpApi;
  /** See ConnectionOptions.url. */
  url(failed: boolean): Promise<string>;
  /** See ConnectionOptions.token. */
  token(refused: string | null): Promise<Token>;
}

export interface OpenChat {
  readonly chat: Chat;
  /** Connects, and starts to follow other tabs. */
  start(): void;
  /** Stops everything. Stored data stays. */
  stop(): void;
}

/**
 * Opens the local store of a user and builds the chat on it. Never rejects: without storage, the data stays in memory.
 */
export async function openChat(parts: OpenChatParts, handlers: ChatHandlers): Promise<OpenChat> {
  const { platform, account, http } = parts;
  const store = await LocalStore.open(platform, account.uid);
  const chat = new ChatModel(
    {
      platform,
      uid: account.uid,
      email: account.email,
      store,
      time: new ServerTime(platform.clock),
      limits: new ServerLimits(),
      http,
      own: new OwnApi(http),
      archive: new ArchiveApi(http, (what, why) => platform.report(what, why)),
      url: (failed) => parts.url(failed),
      token: (refused) => parts.token(refused),
    },
    handlers,
  );
  return {
    chat,
    start: () => chat.start(),
    stop() {
      chat.stop();
      store.close();
    },
  };
}
