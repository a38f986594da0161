/** The part of the fake model that a person sees before the chat: signing up and in, and resetting the password. */
import type { App, Chat, Session } from "../../model";
import type { Value } from "../../model/observable";
import { held, ok, params, refused, wait } from "./options";

/** Signing in shows `chat`. */
export function accounts(session: Value<Session>, chat: Chat): App["accounts"] {
  const calls: App["accounts"] = {
    async passwordChangedAt() {
      return ok(params.has("changed") ? Date.now() - 60_000 : null);
    },
    async signUp(f) {
      await wait(400);
      if (f.username === "taken") return refused("username_taken", "x", { username: "x" });
      session.set({ state: "signed-in", chat });
      return ok(undefined);
    },
    async signIn(_e, p) {
      await wait(400);
      if (p === "wrong") return refused("wrong_credentials", "Wrong e-mail or password. Check both and try again.");
      session.set({ state: "signed-in", chat });
      return ok(undefined);
    },
    async resetPassword() {
      await wait(300);
      return ok(undefined);
    },
    async commonPasswords() {
      if (params.has("held"))
        await new Promise<void>((resolve) => {
          const earlier = held.release.bind(held);
          held.release = () => {
            earlier();
            resolve();
          };
        });
      return ok(new Set(["password", "sunshine1"]));
    },
    async resetAddress(c) {
      return c === "old" ? refused("code_ended", "x") : ok("ada@example.org");
    },
    async confirmReset(c) {
      await wait(300);
      return c === "old"
        ? refused("code_ended", "This link has been used or is too old. Ask for a new one.")
        : ok({ signedIn: await calls.signIn("ada@example.org", "right").then((o) => o.ok) });
    },
  };
  return calls;
}
