/**
 * The account that was signed in here last. It is stored in a note, which is read synchronously, so that the app can
 * show stored data at once.
 */
import type { Account } from "../../net/identity";
import { Fields, Malformed } from "../../protocol/fields";
import { validUid } from "../../protocol/chat";
import type { Notes } from "../../platform/platform";

const ACCOUNT = "phoenix.account";

export class Remembered {
  private readonly notes: Notes;

  constructor(notes: Notes) {
    this.notes = notes;
  }

  /** Returns null if nobody is signed in. */
  account(): Account | null {
    const text = this.notes.get(ACCOUNT);
    if (text === null) return null;
    try {
      const f = new Fields("account", JSON.parse(text) as unknown);
      const uid = f.text("uid");
      return validUid(uid) ? { uid, email: f.optionalText("email") } : null;
    } catch (err) {
      if (err instanceof Malformed || err instanceof SyntaxError) return null;
      throw err;
    }
  }

  set(account: Account): void {
    this.notes.set(ACCOUNT, JSON.stringify(account));
  }

  clear(): void {
    this.notes.remove(ACCOUNT);
  }
}
