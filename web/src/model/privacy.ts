/** The choices of a user about what others see of them, and who may write to them. Loaded with the settings. */
import { Fields, Malformed } from "../protocol/fields";
import type { LateParts } from "./interface/late";
import type { Outcome } from "./interface/outcome";
import { outcome } from "./outcome";

/** The choices that the server knows. */
export const SEEN_BY = ["everyone", "chats", "nobody"] as const;
export const WRITERS = ["everyone", "known"] as const;
export const FOUND_BY = ["everyone", "username"] as const;

export interface Privacy {
  /** The people who see when the user is online: everyone, those whom the user has answered, or nobody. */
  readonly lastSeen: (typeof SEEN_BY)[number];
  /** Whether others see what the user has read. Without it, the user does not see what others have read. */
  readonly readReceipts: boolean;
  /** The people who may write to the user: everyone, or those to whom the user has written. */
  readonly writers: (typeof WRITERS)[number];
  /** The people who find the user by name: everyone, or only those who know the username. */
  readonly findable: (typeof FOUND_BY)[number];
}

type Parts = Pick<LateParts, "http">;

/** Returns what counts now. Null: the server is an earlier one, which has no such choices. */
export function readPrivacy(parts: Parts): Promise<Outcome<Privacy | null>> {
  return outcome(() => load(parts));
}

/** Changes some of the choices, and returns what counts then. Others that another device has made meanwhile stay. */
export function changePrivacy(parts: Parts, change: Partial<Privacy>): Promise<Outcome<Privacy | null>> {
  return outcome(async () => {
    const before = await load(parts);
    if (!before) return null;
    const { lastSeen, readReceipts, writers, findable } = { ...before, ...change };
    const body = { last_seen: lastSeen, read_receipts: readReceipts, writers, findable };
    return await parts.http.read({ method: "PUT", path: "me/privacy", body }, (answer) =>
      privacyOf(new Fields("privacy", answer)),
    );
  });
}

function load({ http }: Parts): Promise<Privacy | null> {
  return http.read({ method: "GET", path: "me" }, (answer) => {
    const own = new Fields("profile", answer);
    return own.has("privacy") ? privacyOf(own.object("privacy")) : null;
  });
}

function privacyOf(f: Fields): Privacy {
  return {
    lastSeen: oneOf(f, "last_seen", SEEN_BY),
    readReceipts: f.bool("read_receipts"),
    writers: oneOf(f, "writers", WRITERS),
    findable: oneOf(f, "findable", FOUND_BY),
  };
}

/** Returns a choice. One that this version does not know is malformed, because it could not be shown or kept. */
function oneOf<T extends string>(f: Fields, name: string, known: readonly T[]): T {
  const value = f.text(name);
  const found = known.find((one) => one === value);
  if (found === undefined) throw new Malformed(`${name} has an unknown value`);
  return found;
}
