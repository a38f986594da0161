/** Everything that runs for an account, in one piece, so that it is loaded only where somebody is signed in. */
import { ArchiveApi } from "../../net/archive";
import type { Token } from "../../net/connection";
import type { HttpApi } from "../../net/http";
import type { SignedIn } from "../../net/identity";
import { OwnApi } from "../../net/own";
import type { Platform } from "../../platform/platform";
import type { Chat } from "../interface/chat";
import { ServerLimits } from "../limits";
import { AccountStore } from "../store/account";
import { ServerTime } from "../time";
import { AccountChat, type ChatHandlers } from "./chat";

export interface AccountParts {
  readonly platform: Platform;
  readonly person: SignedIn;
  readonly http: HttpApi;
  /** The address of the WebSocket. */
  url(): Promise<string>;
  /** See ConnectionOptions.token. */
  token(fresh: boolean): Promise<Token>;
}

export interface Account {
  readonly chat: Chat;
  /** Connects, and begins to follow other tabs. */
  start(): void;
  /** Ends all of it; what is stored stays. */
  stop(): void;
}

/** Opens an account's store and makes its chat. Never rejects: without storage the account lives in memory. */
export async function openAccount(parts: AccountParts, handlers: ChatHandlers): Promise<Account> {
  const { platform, person, http } = parts;
  const store = await AccountStore.open(platform, person.uid);
  const chat = new AccountChat(
    {
      platform,
      uid: person.uid,
      email: person.email,
      store,
      time: new ServerTime(platform.clock),
      limits: new ServerLimits(),
      http,
      own: new OwnApi(http),
      archive: new ArchiveApi(http, (what, why) => platform.report(what, why)),
      url: () => parts.url(),
      token: (fresh) => parts.token(fresh),
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
