/** The parts that directory, pictures and search are built on. Their code is loaded when a screen needs it. */
import type { ArchiveApi, PublicUser } from "../../net/archive";
import type { SavedMessage } from "../../protocol/chat";
import type { HttpApi } from "../../net/http";
import type { ConnectionState } from "../../net/connection";
import type { Clock, Notes, Notifier, Page, Random, Tabs } from "../../platform/platform";
import type { Readable } from "../observable";
import type { History } from "../history";
import type { LocalStore } from "../store/store";
import type { ConversationRow, UserRow } from "../store/rows";
import type { Subject } from "../store/settings";
import type { WriteTx } from "../store/tx";
import type { ConnectionStatus } from "./connection";
import type { ConversationList } from "./lists";
import type { Outcome } from "./outcome";
import type { User } from "./user";

/** The rules of the store that a change may use. */
export interface LateRules {
  /** Moves the user's own read mark. */
  moveMyRead(tx: WriteTx, row: ConversationRow, at: number): Promise<void>;
  /** Stores a message that the server has saved. */
  save(tx: WriteTx, message: SavedMessage): Promise<void>;
  /** Stores a choice of the user, to be sent. */
  choose(tx: WriteTx, subject: Subject, value: number): Promise<void>;
}

/** This tab's part in the election of the leader (see ../tabs/leader). */
export interface LateTabs {
  /** The id of this tab. */
  readonly tab: string;
  /** The name of the channel of all tabs. */
  readonly name: string;
  readonly leading: Readable<boolean>;
  readonly connection: Readable<ConnectionState>;
  start(background?: boolean): void;
  stop(asleep?: boolean): void;
  /** Reads a message of another tab (see ../tabs/messages). Returns null for anything else. */
  read(message: unknown): { readonly kind: string } | null;
}

export interface LateParts {
  readonly uid: string;
  /** The name of the user's database. */
  readonly database: string;
  readonly platform: {
    readonly clock: Clock;
    readonly notes: Notes;
    readonly random: Random;
    readonly tabs: Tabs;
    readonly notifier: Pick<Notifier, "permission">;
    readonly page: Pick<Page, "visible" | "focused" | "onVisible" | "onFocused" | "onOnline">;
    report(what: string, why?: unknown): void;
  };
  readonly store: Pick<LocalStore, "onChange" | "read" | "storage" | "notify" | "shared">;
  readonly tabs: LateTabs;
  readonly presences: { markUnknown(): void };
  readonly history: Pick<History, "extend" | "shortest">;
  readonly archive: Pick<ArchiveApi, "users" | "saved">;
  readonly http: Pick<HttpApi, "answer" | "read">;
  readonly conversations: Readable<ConversationList>;
  readonly connection: Readable<ConnectionStatus>;
  userOf(uid: string, user: PublicUser | UserRow): User;
  /** Stores users who were found. */
  found(users: readonly PublicUser[]): void;
  /** Runs a transaction. A problem that it throws becomes the outcome, and nothing is stored. */
  change(run: (tx: WriteTx, rules: LateRules) => Promise<void>): Promise<Outcome>;
  /**
   * Confirms the user's identity, which is a new sign-in. Problems: "wrong_password", and those of a `code` as in
   * {@link Chat.leave}.
   */
  confirm(password: string, code?: string): Promise<Outcome>;
  /** Goes on with the sign-in that `replace` makes. `replace` returns the token of the former one (see Identity). */
  renew(replace: () => Promise<string | null>): Promise<Outcome>;
  /** Loads the user's own profile again. */
  reload(): Promise<void>;
  /** Loads the next page of the list of conversations, if there is one. */
  moreConversations(): Promise<void>;
  /** Calls `run` when the user is signed out. */
  onStop(run: () => void): void;
}
