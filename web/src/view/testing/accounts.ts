/** The part of the fake model that a person sees before the chat: signing up and in, and resetting the password. */
import type { App, Chat, Session } from "../../model";
import type { AccountParts } from "../../model/interface/app";
import type { MailCalls, MailCode } from "../../model/mail";
import { ApiProblem } from "../../model/testing/problem";
import type { Value } from "../../model/observable";
import { factorCalls, proof, recover } from "./factor";
import { clock, notes, page, random } from "./late";
import { held, number, ok, params, refused, wait } from "./options";
import { me } from "./state";

/**
 * The codes of links, by their names in the address of the page. "x" sets a password. "…-other" are those of another
 * account than that of the user.
 */
const codes: Readonly<Record<string, MailCode>> = {
  x: { kind: "reset", email: "ada@example.org", before: "" },
  verify: { kind: "verify", email: "ada@example.org", before: "" },
  "verify-other": { kind: "verify", email: "bea@example.org", before: "" },
  change: { kind: "change", email: "new@example.org", before: "ada@example.org" },
  recover: { kind: "recover", email: "ada@example.org", before: "eve@example.org" },
};

/** The emails that were sent. Tests look at them. */
const mails: string[] = [];
Object.assign(window, { mails });

async function send(sent: string): Promise<void> {
  await wait(number("latency", 200));
  if (params.get("mail") === "limited") throw new ApiProblem(400, "too_many", "");
  mails.push(sent);
}

function read(code: string): MailCode {
  const found = codes[code];
  if (!found) throw new ApiProblem(400, "code_ended", "");
  return found;
}

const mail: MailCalls = {
  sendReset: (email) => send(`reset ${email}`),
  sendVerification: () => send("verify"),
  async sendChange(email, password) {
    if (password !== "right") throw new ApiProblem(400, "wrong_password", "");
    if (email.startsWith("taken")) throw new ApiProblem(400, "email_taken", "", { fields: { email: "" } });
    await send(`change ${email}`);
  },
  async read(code) {
    await wait(number("latency", 200));
    if (params.get("mail") === "offline") throw new ApiProblem(0, "offline", "");
    return read(code);
  },
  async apply(code) {
    await wait(number("latency", 200));
    if (read(code).kind === "verify" && read(code).email === me.get().email)
      me.update((now) => ({ ...now, unverified: false }));
  },
  async confirmReset(code) {
    await wait(300);
    return read(code).email;
  },
};

/** With ?mailbox=1, the chat runs on one machine, which lists an email of each kind. With ?mailbox=empty, it has none. */
const http: AccountParts["platform"]["http"] = {
  async request() {
    await wait(number("latency", 200));
    const link = (mode: string, code: string): string => `${location.origin}/mail?mode=${mode}&oobCode=${code}`;
    const oobCodes = [
      { email: "ada@example.org", oobLink: link("verifyEmail", "verify") },
      { email: "ada@example.org", newEmail: "new@example.org", oobLink: link("verifyAndChangeEmail", "change") },
      { email: "ada@example.org", oobLink: link("resetPassword", "x") },
    ];
    const list = params.get("mailbox") === "empty" ? [] : oobCodes;
    return { status: 200, header: () => null, body: JSON.stringify({ oobCodes: list }) };
  },
};

/** Signing in shows `chat`. */
export function accounts(session: Value<Session>, chat: Chat): App["accounts"] {
  const calls: App["accounts"] = {
    async passwordChangedAt() {
      return ok(params.has("changed") ? Date.now() - 60_000 : null);
    },
    async signIn(_e, p, code) {
      if (p === "wrong") {
        await wait(400);
        return refused("wrong_credentials", "Wrong e-mail or password. Check both and try again.");
      }
      const proved = await proof("right", code);
      if (!proved.ok) return proved;
      session.set({ state: "signed-in", chat });
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
    late: {
      platform: { clock, http, notes, page, random, report: (what, why) => console.error(what, why) },
      identity: {
        token: async () => await Promise.resolve({ value: "token", endsAt: Date.now() + 3_600_000 }),
        mail: async () => await Promise.resolve(mail),
        factors: async () => await Promise.resolve(factorCalls),
      },
      session,
      signIn: (...proof) => calls.signIn(...proof),
      http: () => ({
        async text({ path, body }) {
          if (path === "signup/recover") await recover(body);
          if (path !== "signup") return "";
          await wait(400);
          if ((body as { readonly username: string }).username === "taken")
            throw new ApiProblem(409, "username_taken", "", { fields: { username: "" } });
          return "";
        },
      }),
      async endSession(reason) {
        await wait(0);
        session.set({ state: "signed-out", reason });
      },
    },
  };
  return calls;
}
