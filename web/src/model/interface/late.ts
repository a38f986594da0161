/** What the parts of the model build on whose code is loaded when a screen needs them: the directory and pictures. */
import type { ArchiveApi, PublicUser } from "../../net/archive";
import type { HttpApi } from "../../net/http";
import type { Clock, Page } from "../../platform/platform";
import type { Readable } from "../observable";
import type { LocalStore } from "../store/store";
import type { UserRow } from "../store/rows";
import type { ConversationList } from "./lists";
import type { User } from "./user";

export interface LateParts {
  /** The name of the user's database. */
  readonly database: string;
  readonly platform: {
    readonly clock: Clock;
    readonly page: Pick<Page, "visible" | "focused" | "onVisible" | "onFocused">;
  };
  readonly store: Pick<LocalStore, "onChange" | "read">;
  readonly archive: Pick<ArchiveApi, "users">;
  readonly http: Pick<HttpApi, "answer">;
  readonly conversations: Readable<ConversationList>;
  userOf(uid: string, user: PublicUser | UserRow): User;
  /** Stores users who were found. */
  found(users: readonly PublicUser[]): void;
  /** Loads the user's own profile again. */
  reload(): Promise<void>;
}
