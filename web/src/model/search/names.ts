/** The search in names. */
import { fold } from "../../text/folding";
import type { User } from "../interface/user";

/** Whether a word of the name, or the username, begins with a folded query, as in the directory of the server. */
export function matchesName(user: User, query: string): boolean {
  if (query === "") return false;
  return ` ${fold(user.displayName)} ${fold(user.username)}`.includes(` ${query.replace(/^@/, "")}`);
}
