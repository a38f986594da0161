/** Browsers with tabs that run the whole model, on one server and one clock. */
import type { Account, FactorCalls, Identity, MailCalls, MailCode } from "../../net/identity";
import { SignInEnded } from "../../net/connection";
import { ApiProblem } from "../../net/problem";
import { conversationId } from "../../protocol/chat";
import type { Database, Shape } from "../../platform/database";
import { FakeClock } from "../../platform/testing/clock";
import { FakeBrowser, FakePlatform, settle } from "../../platform/testing/fake";
import type { Chat } from "../interface/chat";
import { openChat } from "../chat/open";
import { emptyConversation } from "../store/tx";
import { AppModel, type ChatLoader } from "../session/app";
import { ModelServer } from "./server";

const START_MS = 1_795_348_800_000;
const HOUR_MS = 3_600_000;

/** A fake of {@link Identity}. It stores the sign-in in the browser's notes, as PasswordIdentity does. */
class FakeIdentity implements Identity {
  private readonly platform: FakePlatform;
  private readonly house: Household;
  private tokens = 0;

  constructor(platform: FakePlatform, house: Household) {
    this.platform = platform;
    this.house = house;
  }

  remembered(): Account | null {
    const uid = this.platform.notes.get("identity.uid");
    return uid === null ? null : { uid, email: `${uid}@example.org` };
  }

  async signIn(email: string, password: string, code?: string): Promise<Account> {
    this.prove(password, code);
    const uid = email.split("@")[0] ?? "";
    this.platform.notes.set("identity.uid", uid);
    return { uid, email };
  }

  signOut(): void {
    this.platform.notes.remove("identity.uid");
  }

  async reauthenticate(password: string, code?: string): Promise<string | null> {
    if (this.house.identityDown) throw new ApiProblem(0, "offline", "");
    this.prove(password, code);
    this.house.signIns++;
    return `${this.platform.notes.get("identity.uid") ?? ""} ${this.tokens}`;
  }

  private prove(password: string, code: string | undefined): void {
    const { house } = this;
    house.passwords.push(password);
    if (password !== house.password) throw new ApiProblem(400, "wrong_password", "");
    if (house.appCodes === null) return;
    if (code === undefined) throw new ApiProblem(400, "code_needed", "");
    if (!house.appCodes.delete(code)) throw new ApiProblem(400, "code_wrong", "");
  }

  async factors(): Promise<FactorCalls> {
    const { house } = this;
    return {
      start: async () => ({ secret: "SECRET", session: "session" }),
      finish: async (factor, code) => {
        if (factor.session !== "session") throw new ApiProblem(400, "code_late", "");
        const codes = new Set(["111111", "222222", "333333"]);
        if (!codes.delete(code)) throw new ApiProblem(400, "code_wrong", "");
        house.appCodes = codes;
        house.signIns++;
        return `${this.platform.notes.get("identity.uid") ?? ""} ${this.tokens}`;
      },
    };
  }

  async token(refused: string | null): Promise<{ value: string; endsAt: number }> {
    const uid = this.platform.notes.get("identity.uid");
    if (uid === null || this.house.revoked.has(uid)) throw new SignInEnded("ended");
    if (refused !== null) this.house.refreshed.push(uid);
    return { value: `${uid} ${++this.tokens}`, endsAt: this.platform.clock.now() + HOUR_MS };
  }

  async mail(): Promise<MailCalls> {
    const { house } = this;
    const send = (mail: string): void => {
      if (house.mailDown) throw new ApiProblem(400, "too_many", "");
      house.mails.push(mail);
    };
    const read = (code: string): MailCode => {
      const found = house.codes.get(code);
      if (!found) throw new ApiProblem(400, "code_ended", "");
      return found;
    };
    return {
      sendReset: async (email) => send(`reset ${email}`),
      sendVerification: async () => send(`verify ${this.remembered()?.email ?? ""}`),
      sendChange: async (email, password, code) => {
        this.prove(password, code);
        send(`change ${this.remembered()?.email ?? ""} to ${email}`);
      },
      read: async (code) => read(code),
      apply: async (code) => {
        const { kind, email, before } = read(code);
        house.codes.delete(code);
        for (const uid of [email, before].map((address) => address.split("@")[0] ?? "")) {
          if (kind !== "verify") house.revoked.add(uid);
          else if (house.server.archive.unverified.has(uid)) house.server.archive.unverified.set(uid, "verified");
        }
      },
      confirmReset: async (code, password) => {
        const { email } = read(code);
        house.passwords.push(password);
        house.codes.delete(code);
        return email;
      },
    };
  }
}

export interface Tab {
  readonly platform: FakePlatform;
  readonly app: AppModel;
  /** The chat of the signed-in user. Throws if nobody is signed in. */
  chat(): Chat;
}

export interface TabOptions {
  readonly open?: (name: string, shape: Shape) => Promise<Database>;
  /** False: a browser without Web Locks. */
  readonly locks?: boolean;
  /** False: the code for a full disk cannot be loaded. */
  readonly overlays?: boolean;
  /** Loads the code of the chat. Default: returns it at once. */
  readonly loadChat?: ChatLoader;
}

/** Stores on the device of `uid`, if it is still signed in, that the user has answered others. */
async function knows(tab: Tab, uid: string, others: readonly string[]): Promise<void> {
  const session = tab.app.session.get();
  if (session.state !== "signed-in" || session.chat.uid !== uid) return;
  await session.chat.late.change(async (tx) => {
    for (const other of others.filter((one) => one !== uid)) {
      const id = conversationId(uid, other);
      await tx.putConversation({ ...((await tx.conversation(id)) ?? emptyConversation(id, other)), answered: true });
    }
  });
}

export class Household {
  readonly clock = new FakeClock(START_MS, settle);
  readonly server = new ModelServer(this.clock);
  /** Users whose sign-in was revoked. */
  readonly revoked = new Set<string>();
  /** The users who asked for a fresh token, in order. */
  readonly refreshed: string[] = [];
  /** The identity service cannot be reached. */
  identityDown = false;
  /** The password of everybody. */
  password = "correct horse";
  /** The passwords that reached the identity service. */
  readonly passwords: string[] = [];
  /** The codes of everybody's authenticator app that work once each. Null: nobody has such an app. */
  appCodes: Set<string> | null = null;
  /** The emails that were sent, each with its kind and its addresses. */
  readonly mails: string[] = [];
  /** No email can be sent. */
  mailDown = false;
  /** The valid codes of links. */
  readonly codes = new Map<string, MailCode>();
  /** How often somebody confirmed their identity. */
  signIns = 0;
  online = true;
  private seed = 1;
  /** The tabs in which somebody signed in. */
  private readonly tabs: { readonly uid: string; readonly tab: Tab }[] = [];

  /** One sequence for all tabs, so that no two create the same id. */
  private random(): number {
    this.seed = (this.seed * 48271) % 2147483647;
    return this.seed / 2147483647;
  }

  async tab(browser = new FakeBrowser(), options: TabOptions = {}): Promise<Tab> {
    const platform = new FakePlatform({
      clock: this.clock,
      browser,
      random: () => this.random(),
      ...(options.open ? { open: options.open } : {}),
    });
    platform.locks = options.locks !== false;
    platform.overlays = options.overlays !== false;
    platform.onSocket = (socket) => {
      if (this.online) this.server.open(socket);
      else this.clock.after(1, () => socket.drop(1006));
    };
    platform.answer = async (request) => {
      const uid = (request.headers["authorization"] ?? "").replace("Bearer ", "").split(" ")[0] ?? "";
      const answer = await this.server.archive.answer(uid, request);
      if (answer.status === 204 && request.url.endsWith("/api/me/password"))
        this.password = (JSON.parse(request.body ?? "") as { readonly password: string }).password;
      return answer;
    };
    const app = new AppModel(
      platform,
      () => new FakeIdentity(platform, this),
      options.loadChat ?? (async () => ({ openChat })),
    );
    await app.start();
    await this.clock.advance(0);
    return {
      platform,
      app,
      chat: () => {
        const session = app.session.get();
        if (session.state !== "signed-in") throw new Error(`nobody is signed in: ${session.state}`);
        return session.chat;
      },
    };
  }

  /** Opens a tab in a new browser, signed in and connected. */
  async user(uid: string, browser = new FakeBrowser(), options: TabOptions = {}): Promise<Tab> {
    if (!this.server.archive.directory.has(uid)) {
      this.server.archive.directory.set(uid, {
        uid,
        username: uid.toLowerCase(),
        display_name: uid.replace(/[A-Z0-9].*/, ""),
      });
    }
    const tab = await this.tab(browser, options);
    const outcome = await tab.app.signIn(`${uid}@example.org`, this.password);
    if (!outcome.ok) throw new Error(outcome.problem.message);
    if (!this.server.archive.strangers) await this.acquaint(uid, tab);
    await this.pass(1_000);
    return tab;
  }

  /** Everybody has answered everybody, so that nothing is a request. */
  private async acquaint(uid: string, tab: Tab): Promise<void> {
    await knows(tab, uid, [...this.server.archive.directory.keys()]);
    for (const before of this.tabs) await knows(before.tab, before.uid, [uid]);
    this.tabs.push({ uid, tab });
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** Takes the network away, or brings it back. */
  setOnline(online: boolean): void {
    this.online = online;
    if (!online) this.server.drop();
  }
}
