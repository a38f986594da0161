/**
 * The root of the model: who uses this browser. It opens an account's store
 * and chat when somebody is signed in, and takes both away when they are not any more.
 */
import { ConfigSource } from "../../net/config";
import { SignInEnded, type Token } from "../../net/connection";
import { HttpApi } from "../../net/http";
import type { Identity, IdentityLoader, SignedIn } from "../../net/identity";
import { OwnApi } from "../../net/own";
import { ApiProblem } from "../../net/problem";
import type { Channel, Platform } from "../../platform/platform";
import type { Account, openAccount } from "../chat/open";
import type { Accounts, App, Attention, NewAccount, Session, SignedOutReason } from "../interface/app";
import type { Outcome } from "../interface/outcome";
import { type Readable, Value } from "../observable";
import { outcome, problemOf } from "../outcome";
import { databaseName } from "../store/name";
import { Attract } from "./attention";
import { Remembered } from "./remembered";

/** Loads what runs for an account. Rejects with ApiProblem where it cannot be loaded now; may be called again. */
export type ChatLoader = () => Promise<{ readonly openAccount: typeof openAccount }>;

interface Running {
  readonly person: SignedIn;
  readonly account: Account;
}

export class AppModel implements App, Accounts {
  readonly accounts: Accounts = this;
  private readonly platform: Platform;
  private readonly loadIdentity: IdentityLoader;
  private readonly loadChat: ChatLoader;
  private readonly config: ConfigSource;
  private readonly remembered: Remembered;
  private readonly value = new Value<Session>({ state: "starting" });
  private readonly attract: Attract;
  private identityLoading: Promise<Identity> | null = null;
  private running: Running | null = null;
  /** Counts changes of who is here, so that what belongs to an earlier one can be told. */
  private turn = 0;
  private channel: Channel | null = null;

  constructor(platform: Platform, loadIdentity: IdentityLoader, loadChat: ChatLoader) {
    this.platform = platform;
    this.loadIdentity = loadIdentity;
    this.loadChat = loadChat;
    this.config = new ConfigSource(platform);
    this.remembered = new Remembered(platform.notes);
    this.attract = new Attract(platform, () => this.channel?.post({ kind: "attention" }));
  }

  get session(): Readable<Session> {
    return this.value;
  }

  get remembers(): boolean {
    return this.remembered.person() !== null;
  }

  get attention(): Attention {
    return this.attract;
  }

  async start(): Promise<void> {
    if (!this.channel) {
      this.channel = this.platform.tabs.channel("phoenix", (message) => this.hear(message));
      this.platform.page.onResume(() => this.look());
    }
    const person = this.remembered.person();
    if (person) {
      // At once, from what this device has; whether the sign-in still stands shows when a token is needed.
      await this.enter(person);
      return;
    }
    try {
      await this.config.get();
    } catch (err) {
      this.value.set({ state: "failed", problem: problemOf(err) });
      return;
    }
    this.value.set({ state: "signed-out", reason: "none" });
    // While the form is filled in.
    void this.identity().catch(() => undefined); // told by who waits for it
    // A sign-out that could not be finished then is done now.
    if (this.remembered.signOutDue()) void this.forget().catch(() => undefined);
  }

  // --- accounts ---

  signUp(form: NewAccount): Promise<Outcome> {
    return outcome(async () => {
      this.prepare();
      await new OwnApi(this.http()).signUp(form);
      await this.signedIn(await (await this.identity()).signIn(form.email, form.password));
    });
  }

  signIn(email: string, password: string): Promise<Outcome> {
    return outcome(async () => {
      this.prepare();
      await this.signedIn(await (await this.identity()).signIn(email, password));
    });
  }

  resetPassword(email: string): Promise<Outcome> {
    return outcome(async () => (await this.identity()).sendReset(email));
  }

  confirmReset(code: string, password: string): Promise<Outcome<{ readonly email: string }>> {
    return outcome(async () => ({ email: await (await this.identity()).confirmReset(code, password) }));
  }

  /** Loads the code that comes next while the server looks at who is coming. */
  private prepare(): void {
    void this.loadChat().catch(() => undefined); // told by enter()
    void this.identity().catch(() => undefined); // told by who waits for it
  }

  // --- coming and going ---

  private async signedIn(person: SignedIn): Promise<void> {
    this.remembered.set(person);
    await this.enter(person);
    this.channel?.post({ kind: "signed-in" });
  }

  private async enter(person: SignedIn): Promise<void> {
    if (this.running?.person.uid === person.uid) return;
    const turn = ++this.turn;
    this.halt();
    let account: Account;
    try {
      account = await this.open(person, turn);
    } catch (err) {
      if (turn === this.turn) this.value.set({ state: "failed", problem: problemOf(err) });
      return;
    }
    if (turn !== this.turn) {
      account.stop();
      return;
    }
    this.running = { person, account };
    account.start();
    this.value.set({ state: "signed-in", chat: account.chat });
  }

  private async open(person: SignedIn, turn: number): Promise<Account> {
    const { openAccount } = await this.loadChat();
    return await openAccount(
      {
        platform: this.platform,
        person,
        http: this.http(),
        url: async () => (await this.config.get()).realtimeUrl,
        token: (fresh) => this.token(person, fresh),
      },
      {
        onReceived: (messages, hidden) =>
          this.attract.received(
            messages.map(({ row, name }) => ({ person: row.from, name, body: row.body, hidden })),
            hidden,
          ),
        onSignInEnded: (reason) => void this.end(turn, reason),
        signOut: () => this.signOut(person),
        leave: (password) => this.leave(person, password),
      },
    );
  }

  /** Stops what runs for an account; its data stays. */
  private halt(): void {
    this.running?.account.stop();
    this.running = null;
  }

  private async signOut(person: SignedIn, reason: SignedOutReason = "none"): Promise<void> {
    this.turn++;
    this.halt();
    this.remembered.clear();
    this.attract.forget();
    // Other tabs close their connections to the database, or it could not be deleted.
    this.channel?.post({ kind: "signed-out", uid: person.uid, reason });
    this.value.set({ state: "signed-out", reason });
    await Promise.all([this.forget(), this.platform.storage.remove(databaseName(person.uid))]);
  }

  /** Forgets the sign-in; where the configuration was never loaded, at the next start. */
  private async forget(): Promise<void> {
    this.remembered.dueSignOut(true);
    try {
      await (await this.identity()).signOut();
      this.remembered.dueSignOut(false);
    } catch (err) {
      if (!(err instanceof ApiProblem)) throw err;
    }
  }

  private async leave(person: SignedIn, password: string): Promise<void> {
    const identity = await this.identity();
    await identity.reauthenticate(password);
    // The server wants a token of this very sign-in.
    await identity.token(true);
    await new OwnApi(this.http()).leave();
    await this.signOut(person, "left");
  }

  /** The server says that the sign-in does not stand any more. What waits on this device stays, unless the account is gone. */
  private async end(turn: number, reason: "ended" | "disabled" | "deleted"): Promise<void> {
    const person = this.running?.person;
    if (turn !== this.turn || !person) return;
    if (reason === "deleted") {
      await this.signOut(person, reason);
      return;
    }
    this.turn++;
    this.halt();
    this.attract.forget();
    this.value.set({ state: "signed-out", reason });
    // Where another tab has let somebody else in meanwhile, theirs is not ours to end.
    if (this.remembered.person()?.uid !== person.uid) {
      this.look();
      return;
    }
    this.remembered.clear();
    this.channel?.post({ kind: "signed-out", uid: person.uid, reason });
    await this.forget();
  }

  /** Compares who is shown with who is signed in: a tab that was frozen has missed what others did. */
  private look(): void {
    const person = this.remembered.person();
    if (person?.uid === this.running?.person.uid) return;
    if (person) void this.enter(person);
    else {
      this.turn++;
      this.halt();
      this.attract.forget();
      this.value.set({ state: "signed-out", reason: "none" });
    }
  }

  private hear(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { kind, uid, reason } = message as { kind?: unknown; uid?: unknown; reason?: unknown };
    if (kind === "signed-out" && uid === this.running?.person.uid) {
      this.turn++;
      this.halt();
      this.attract.forget();
      const known: readonly unknown[] = ["none", "ended", "disabled", "deleted", "left"] satisfies SignedOutReason[];
      this.value.set({ state: "signed-out", reason: known.includes(reason) ? (reason as SignedOutReason) : "none" });
    } else if (kind === "signed-in") this.look();
    else if (kind === "attention") this.attract.look();
  }

  // --- who proves it ---

  private identity(): Promise<Identity> {
    this.identityLoading ??= this.config
      .get()
      .then((config) => this.loadIdentity(config.identity))
      .catch((err: unknown) => {
        this.identityLoading = null;
        throw err;
      });
    return this.identityLoading;
  }

  private async token(person: SignedIn, fresh: boolean): Promise<Token> {
    const identity = await this.identity();
    const who = await identity.remembered();
    // Another tab may have signed in somebody else: their token is not for this account.
    if (who?.uid !== person.uid) throw new SignInEnded("ended");
    return await identity.token(fresh);
  }

  private http(): HttpApi {
    return new HttpApi(this.platform, {
      base: async () => (await this.config.get()).apiBase,
      token: async (fresh) => {
        const person = this.running?.person;
        if (!person) throw new SignInEnded("ended");
        return await this.token(person, fresh);
      },
    });
  }
}
