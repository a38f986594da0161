/** Types of the election among tabs (./leader), and the name under which they meet. */
import type { EndReason } from "../../net/connection";
import type { Presence } from "../interface/chat";
import { type MessageRow, SHAPE } from "../store/rows";
import { databaseName } from "../store/store";

export interface TabLeaderHandlers {
  onPresence(uid: string, presence: Presence): void;
  /** The profile of a user, or the own one, has changed. */
  onProfile(uid: string): void;
  onTyping(uid: string): void;
  /** Called in the leader's tab only. `unseen`: the user works with no tab of this browser. */
  onReceived(messages: readonly MessageRow[], unseen: boolean): void;
  onSignInEnded(reason: EndReason): void;
}

/** The leader's record of another tab. */
export interface Follower {
  readonly watch: readonly string[];
  readonly focused: boolean;
  /** By the monotonic clock. */
  readonly heardAt: number;
}

/**
 * Name of the lock and of the channel. It contains the version of the database: tabs of another version of this program
 * work on another database, so they need a leader of their own.
 */
export function tabsName(uid: string): string {
  return `${databaseName(uid)}:${SHAPE.version}`;
}
