/**
 * The root of the model. It opens the local store and the chat of the user who is signed in, and closes them on
 * sign-out.
 */
import { type Config, ConfigSource, foreignTo } from "../../net/config";
import { type EndReason, SignInEnded, type Token } from "../../net/connection";
import { HttpApi } from "../../net/http";
import type { Account, Identity, IdentityFactory } from "../../net/identity";
import { OwnApi } from "../../net/own";
import { ApiProblem } from "../../net/problem";
import { loadCode } from "../../platform/code";
import type { Channel, Platform } from "../../platform/platform";
import type { OpenChat, openChat } from "../chat/open";
import type { AccountParts, Accounts, App, Attention, Session, SignedOutReason } from "../interface/app";
import type { Outcome } from "../interface/outcome";
import { type Readable, Value } from "../observable";
import { outcome, problemOf } from "../outcome";
import { databaseName } from "../store/store";
import { lateDrafts } from "../chat/lateDrafts";
import { AttentionModel, incomingOf } from "./attention";
import { Remembered } from "./remembered";

/** Loads the code for signed-in users. Rejects with ApiProblem if it cannot be loaded now. May be called again. */
export type ChatLoader = () => Promise<{ readonly openChat: typeof openChat }>;

/** How long signing out waits for the server. */
const SIGN_OUT_MS = 3_000;
/** From a new sign-in until the one that it replaces is ended. */
const END_REPLACED_MS = 2_000;

interface Running {
  readonly account: Account;
  readonly chat: OpenChat;
}

/** Returns a password in the one form in which it is used everywhere. Keyboards differ in how they type "é". */
function normal(password: string): string {
  return password.normalize("NFC");
}

export class AppModel implements App, Accounts, AccountParts {
  readonly accounts: Accounts = this;
  readonly late: AccountParts = this;
  readonly platform: Platform;
  private readonly loadChat: ChatLoader;
  private readonly config: ConfigSource;
  readonly identity: Identity;
  private readonly remembered: Remembered;
  private readonly value = new Value<Session>({ state: "starting" });
  private readonly attentionModel: AttentionModel;
  private running: Running | null = null;
  /** The uid of the last user of this tab. An account that another tab signs in does not take the tab over. */
  private lastUser: string | null = null;
  /** Incremented per change of the signed-in account, so that results for an earlier one are ignored. */
  private generation = 0;
  private channel: Channel | null = null;
  /** The last ID token of this tab. The server says with it why a sign-in has ended. */
  private lastToken = "";

  constructor(platform: Platform, identity: IdentityFactory, loadChat: ChatLoader) {
    this.platform = platform;
    this.loadChat = loadChat;
    this.config = new ConfigSource(platform, (config) => this.onConfig(config));
    this.identity = identity(async () => (await this.config.get()).identity);
    this.remembered = new Remembered(platform.notes);
    this.attentionModel = new AttentionModel(platform, () => this.channel?.post({ kind: "attention" }));
  }

  get session(): Readable<Session> {
    return this.value;
  }

  get remembers(): boolean {
    return this.remembered.account() !== null;
  }

  get attention(): Attention {
    return this.attentionModel;
  }

  async start(): Promise<void> {
    if (!this.channel) {
      this.channel = this.platform.tabs.channel("phoenix", (message) => this.onTabMessage(message));
      this.platform.page.onResume(() => this.followRemembered());
    }
    const account = this.remembered.account();
    if (account) {
      // Opens at once with the stored data. Whether the sign-in is still valid turns out when a token is needed.
      await this.openSession(account);
      return;
    }
    try {
      await this.config.get();
    } catch (err) {
      this.value.set({ state: "failed", problem: problemOf(err) });
      return;
    }
    if (this.value.get().state === "foreign") return;
    this.value.set({ state: "signed-out", reason: "none" });
  }

  // --- accounts ---

  signIn(email: string, password: string, code?: string): Promise<Outcome> {
    return outcome(async () => {
      this.preload();
      await this.signedIn(await this.identity.signIn(email, normal(password), code));
    });
  }

  commonPasswords(): Promise<Outcome<ReadonlySet<string>>> {
    return outcome(async () => {
      const list = await loadCode(() => import("../../../../functions/password/common.txt?raw"));
      return new Set(list.default.split("\n"));
    });
  }

  passwordChangedAt(): Promise<Outcome<number | null>> {
    return outcome(async () => {
      const token = this.lastToken;
      if (token === "") return null;
      const code = await loadCode(() => import("./passwordChange"));
      return await code.passwordChangedAt(this.platform.http, (await this.config.get()).apiBase, token);
    });
  }

  /** Loads the code for signed-in users while the server checks the password. */
  private preload(): void {
    void this.loadChat().catch(() => undefined); // openSession() reports the error
  }

  // --- sessions ---

  private async signedIn(account: Account): Promise<void> {
    this.remembered.set(account);
    await this.openSession(account);
    this.channel?.post({ kind: "signed-in" });
  }

  private async openSession(account: Account): Promise<void> {
    if (this.running?.account.uid === account.uid) return;
    const generation = ++this.generation;
    this.stopChat();
    let chat: OpenChat;
    try {
      chat = await this.open(account, generation);
    } catch (err) {
      if (generation === this.generation) this.value.set({ state: "failed", problem: problemOf(err) });
      return;
    }
    if (generation !== this.generation) {
      chat.stop();
      return;
    }
    this.running = { account, chat };
    this.lastUser = account.uid;
    chat.start();
    this.attentionModel.follow(account.uid, chat.chat);
    this.value.set({ state: "signed-in", chat: chat.chat });
  }

  private async open(account: Account, generation: number): Promise<OpenChat> {
    const { openChat } = await this.loadChat();
    return await openChat(
      {
        platform: this.platform,
        account,
        http: this.http(),
        url: async (failed) => {
          // A handshake that the server refuses looks like a broken network. The configuration has the reason.
          if (failed) this.config.renew();
          return (await this.config.get()).realtimeUrl;
        },
        token: (refused) => this.token(account, refused),
      },
      {
        onReceived: (messages, hidden) =>
          this.attentionModel.received(
            messages.flatMap(({ row, name }) => incomingOf(row, account.uid, name, hidden) ?? []),
            hidden,
          ),
        onSignInEnded: (reason) => void this.endSession(reason, generation),
        signOut: () => this.signOutHere(account),
        confirm: (password, code, renewed) => this.confirm(account, password, code, renewed),
        renew: (replace, renewed) => this.renew(account, replace, renewed),
        leave: (password, code) => this.leave(account, password, code),
      },
    );
  }

  /** Ends everything if this page may not use the chat. Stored data stays. */
  private onConfig(config: Config): void {
    const address = foreignTo(config, this.platform.page.origin);
    if (address === null) return;
    this.generation++;
    this.stopChat();
    this.attentionModel.reset();
    this.value.set({ state: "foreign", address });
  }

  /** Stops the chat. Stored data stays. */
  private stopChat(): void {
    this.running?.chat.stop();
    this.running = null;
    this.attentionModel.unfollow();
  }

  /** Signs out at the user's request: ends the sign-in on the server if that is possible soon, then here. */
  private async signOutHere(account: Account): Promise<void> {
    // From now on, the end of the sign-in is no news.
    const generation = ++this.generation;
    // For other tabs, too: they would keep the data of a sign-in that the server ends.
    this.channel?.post({ kind: "signed-out", uid: account.uid, reason: "none" satisfies SignedOutReason });
    if (this.platform.page.online()) {
      const ended = new OwnApi(this.http()).signOut().catch((err: unknown) => {
        if (!(err instanceof ApiProblem || err instanceof SignInEnded)) throw err;
      });
      await Promise.race([ended, new Promise<void>((resolve) => void this.platform.clock.after(SIGN_OUT_MS, resolve))]);
    }
    if (generation === this.generation) await this.signOut(account);
    // Another tab has signed in another account meanwhile, which must stay signed in.
    else if (this.running?.account.uid !== account.uid) {
      this.platform.notes.remove(lateDrafts(account.uid));
      await this.platform.storage.remove(databaseName(account.uid));
    }
  }

  private async signOut(account: Account, reason: SignedOutReason = "none"): Promise<void> {
    this.generation++;
    // Other tabs must close their connections to the database before it can be deleted. First, so that none of them
    // becomes the leader and finds out by itself.
    this.channel?.post({ kind: "signed-out", uid: account.uid, reason });
    this.stopChat();
    this.remembered.clear();
    this.identity.signOut();
    this.attentionModel.reset();
    this.value.set({ state: "signed-out", reason });
    this.platform.notes.remove(lateDrafts(account.uid));
    await this.platform.storage.remove(databaseName(account.uid));
  }

  /** Confirms the user's identity. `renewed` is called when tokens of the new sign-in are available. */
  private confirm(account: Account, password: string, code: string | undefined, renewed: () => void): Promise<void> {
    return this.renew(account, () => this.identity.reauthenticate(normal(password), code), renewed);
  }

  /** Joins the sign-in that `replace` makes to this device. `replace` returns the token of the former one. */
  private async renew(account: Account, replace: () => Promise<string | null>, renewed: () => void): Promise<void> {
    if (this.identity.remembered()?.uid !== account.uid) throw new SignInEnded("ended");
    const replaced = await replace();
    if (replaced !== null) {
      // First of all, so that the new sign-in is not taken for another device.
      await new OwnApi(this.http())
        .renewSignIn(replaced)
        .catch((err: unknown) => this.platform.report("the sign-in could not be joined to this device", err));
    }
    renewed();
    if (replaced === null) return;
    // The socket has the new token by then. If this fails, the old sign-in stays valid, as it was.
    this.platform.clock.after(END_REPLACED_MS, () => {
      new OwnApi(this.http()).signOut(replaced).catch((err: unknown) => {
        // The server may have ended it with all others.
        if (!(err instanceof ApiProblem && err.status === 401))
          this.platform.report("the replaced sign-in could not be ended", err);
      });
    });
  }

  private async leave(account: Account, password: string, code?: string): Promise<void> {
    // The server requires a token of this new sign-in.
    await this.identity.reauthenticate(normal(password), code);
    await new OwnApi(this.http()).leave();
    await this.signOut(account, "left");
  }

  /**
   * Handles a server that rejects the sign-in. Unsent messages stay on this device unless the account was deleted or the
   * device was signed out.
   */
  async endSession(reason: EndReason, generation = this.generation): Promise<void> {
    const account = this.running?.account;
    if (generation !== this.generation || !account) return;
    const mine = this.remembered.account()?.uid === account.uid;
    if (reason === "deleted" || (reason === "signed-out" && mine)) {
      await this.signOut(account, reason);
      return;
    }
    this.generation++;
    this.stopChat();
    this.attentionModel.reset();
    this.value.set({ state: "signed-out", reason });
    // Another tab may have signed in another account meanwhile, which must stay signed in.
    if (!mine) {
      this.followRemembered();
      return;
    }
    this.remembered.clear();
    this.identity.signOut();
    this.channel?.post({ kind: "signed-out", uid: account.uid, reason });
  }

  /**
   * Follows sign-ins and sign-outs in other tabs; a tab that was frozen has missed the messages about them. Opens the
   * remembered account if nobody, or the same user, was signed in here before.
   */
  private followRemembered(): void {
    const account = this.remembered.account();
    if (account?.uid === this.running?.account.uid) return;
    if (account && (this.lastUser === null || this.lastUser === account.uid)) {
      void this.openSession(account);
      return;
    }
    this.generation++;
    if (this.running) this.attentionModel.reset();
    this.stopChat();
    this.value.set({ state: "signed-out", reason: account ? "replaced" : "none" });
  }

  private onTabMessage(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { kind, uid, reason } = message as { kind?: unknown; uid?: unknown; reason?: unknown };
    if (kind === "signed-out" && uid === this.running?.account.uid) {
      this.generation++;
      this.stopChat();
      this.attentionModel.reset();
      const known: readonly unknown[] = [
        "none",
        "ended",
        "signed-out",
        "disabled",
        "deleted",
        "left",
      ] satisfies SignedOutReason[];
      this.value.set({ state: "signed-out", reason: known.includes(reason) ? (reason as SignedOutReason) : "none" });
    } else if (kind === "signed-in") this.followRemembered();
    else if (kind === "attention") this.attentionModel.refresh();
  }

  // --- tokens ---

  private async token(account: Account, refused: string | null): Promise<Token> {
    // Another tab may have signed in another account, whose token must not be used here.
    if (this.identity.remembered()?.uid !== account.uid) throw new SignInEnded("ended");
    const token = await this.identity.token(refused);
    this.lastToken = token.value;
    return token;
  }

  http(): HttpApi {
    return new HttpApi(this.platform, {
      base: async () => (await this.config.get()).apiBase,
      token: async (refused) => {
        const account = this.running?.account;
        if (!account) throw new SignInEnded("ended");
        return await this.token(account, refused);
      },
    });
  }
}
