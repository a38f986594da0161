/** Somebody in the directory. Names come from strangers: show them as text, isolated. */
export interface Person {
  readonly uid: string;
  /** Empty while not yet known (a first message of a stranger) or no longer there. */
  readonly username: string;
  /** What to show; falls back to the username, then to a neutral word of the view when both are empty. */
  readonly displayName: string;
  /** True: the account no longer exists. Names stay where this device knew them; nobody can write to them any more. */
  readonly deleted?: boolean;
}
