/** A user in the directory. Names come from strangers: show them as text, isolated. */
export interface User {
  readonly uid: string;
  /** Empty if not yet known (first message of a stranger) or no longer known. */
  readonly username: string;
  /** The name to show. It falls back to the username. The view has a neutral word for the case that both are empty. */
  readonly displayName: string;
  /** The account does not exist any more. Names that this device knew stay. Nobody can write to this user any more. */
  readonly deleted?: boolean;
  /** The user is an admin of this chat, according to the server. */
  readonly admin?: boolean;
  /** The version of the picture. Empty or missing: none. */
  readonly picture?: string;
}
