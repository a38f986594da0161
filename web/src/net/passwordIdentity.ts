/**
 * {@link Identity} on Firebase Auth, with an email address and a password. The sign-in is a note, which all tabs of the
 * browser share: what one tab changes (a new token, a sign-out) the others read before they use it.
 */
import { Fields, Malformed } from "../protocol/fields";
import { loadCode } from "../platform/code";
import type { Platform } from "../platform/platform";
import { SignInEnded, type Token } from "./connection";
import type { Account, FactorCalls, Identity, IdentityConfig, MailCalls } from "./identity";
import { IdentityToolkit, type Problems, Refused, type SignIn } from "./identityToolkit";
import type * as Forms from "./passwordForms";
import { ApiProblem } from "./problem";

/** The note that has the sign-in. */
export const SIGN_IN_NOTE = "phoenix.sign-in";
/** A token that expires sooner than this is replaced before it is used. */
const MARGIN_MS = 30_000;
const REFRESH_PROBLEMS: Problems = { TOO_MANY_ATTEMPTS_TRY_LATER: ["too_many"] };

const forms = (): Promise<typeof Forms> => loadCode(() => import("./passwordForms"));

export class PasswordIdentity implements Identity {
  private readonly platform: Platform;
  private readonly toolkit: IdentityToolkit;
  /** The sign-in of this tab if the browser stores no notes. */
  private unstored: SignIn | null = null;
  /** Set once this page has asked the server whether the stored sign-in is still valid. */
  private confirmed: Promise<void> | null = null;
  private refreshing: { readonly refreshToken: string; readonly result: Promise<SignIn> } | null = null;

  constructor(platform: Platform, config: () => Promise<IdentityConfig>) {
    this.platform = platform;
    this.toolkit = new IdentityToolkit(platform, config);
    // A form is shown, which should not wait for code when it is sent.
    if (!this.current()) void forms().catch(() => undefined);
  }

  remembered(): Account | null {
    const signIn = this.current();
    return signIn && { uid: signIn.uid, email: signIn.email };
  }

  async signIn(email: string, password: string, code?: string): Promise<Account> {
    const signIn = await (await forms()).signIn(this.toolkit, email.trim(), password, code);
    this.save(signIn);
    return { uid: signIn.uid, email: signIn.email };
  }

  signOut(): void {
    this.unstored = null;
    this.platform.notes.remove(SIGN_IN_NOTE);
  }

  async reauthenticate(password: string, code?: string): Promise<string | null> {
    const { signIn } = await forms();
    return await this.replace((_old, { email }) => signIn(this.toolkit, email, password, code));
  }

  async token(refused: string | null): Promise<Token> {
    let signIn = this.current();
    if (!signIn) throw new SignInEnded("ended");
    const expired = this.platform.clock.now() > signIn.endsAt - MARGIN_MS;
    // Another tab, or a new sign-in of this one, may have replaced the refused token.
    if (expired || signIn.idToken === refused) {
      signIn = await this.refresh(signIn);
    } else {
      this.confirmed ??= this.confirm(signIn).catch((err: unknown) => {
        this.confirmed = null;
        throw err;
      });
      await this.confirmed;
      const { uid } = signIn;
      signIn = this.current();
      if (signIn?.uid !== uid) throw new SignInEnded("ended");
    }
    return { value: signIn.idToken, endsAt: signIn.endsAt };
  }

  async mail(): Promise<MailCalls> {
    return (await forms()).mailCalls(this.toolkit, this);
  }

  async factors(): Promise<FactorCalls> {
    const { factorCalls } = await loadCode(() => import("./secondFactor"));
    return factorCalls(this.toolkit, {
      token: async () => (await this.token(null)).value,
      replace: (signInAgain) => this.replace(signInAgain),
    });
  }

  /**
   * Stores a new sign-in of the account, made with the token of the present one. Returns that token, or null if the
   * server cannot tell the two apart.
   */
  private async replace(signInAgain: (old: string, account: Account) => Promise<SignIn>): Promise<string | null> {
    const old = (await this.token(null)).value;
    const before = this.current();
    if (!before?.email) throw new SignInEnded("ended");
    let signIn;
    try {
      signIn = await signInAgain(old, before);
    } catch (err) {
      if (err instanceof ApiProblem && err.code === "account_disabled") this.end(before);
      throw err;
    }
    if (signIn.uid !== before.uid) throw this.toolkit.unavailable();
    // Another tab may have signed out meanwhile.
    if (this.current()?.uid !== before.uid) throw new SignInEnded("ended");
    this.save(signIn);
    const { authTime } = await forms();
    // The server identifies a sign-in by its time, in whole seconds.
    return authTime(signIn.idToken) === authTime(old) ? null : old;
  }

  /** Lets the server confirm a sign-in that an earlier page has stored. If the network fails, the sign-in stays valid. */
  private async confirm(signIn: SignIn): Promise<void> {
    try {
      await this.toolkit.confirm(signIn.idToken);
    } catch (err) {
      // The token may have expired by the server's clock only, so the refresh token decides.
      if (err instanceof Refused && endOf(err)) await this.refresh(signIn);
      else if (!(err instanceof Refused || err instanceof ApiProblem)) throw err;
    }
  }

  /** Gets a new ID token. Rejects with SignInEnded or ApiProblem. */
  private refresh(signIn: SignIn): Promise<SignIn> {
    const { refreshToken } = signIn;
    if (this.refreshing?.refreshToken === refreshToken) return this.refreshing.result;
    const result = this.refreshNow(signIn).finally(() => {
      if (this.refreshing?.result === result) this.refreshing = null;
    });
    this.refreshing = { refreshToken, result };
    return result;
  }

  private async refreshNow(signIn: SignIn): Promise<SignIn> {
    let tokens;
    try {
      tokens = await this.toolkit.refresh(signIn.refreshToken);
    } catch (err) {
      const ended = err instanceof Refused ? endOf(err) : null;
      if (!ended) throw this.toolkit.problemOf(err, REFRESH_PROBLEMS);
      this.end(signIn);
      throw ended;
    }
    const now = this.current();
    // A tab may have signed out or in anew meanwhile, which counts.
    if (now?.uid !== signIn.uid) throw new SignInEnded("ended");
    if (now.refreshToken !== signIn.refreshToken) return now;
    const next = { ...signIn, ...tokens };
    this.save(next);
    return next;
  }

  /** Forgets a sign-in that the server has ended, unless a tab has replaced it. */
  private end(signIn: SignIn): void {
    if (this.current()?.refreshToken === signIn.refreshToken) this.signOut();
  }

  private current(): SignIn | null {
    return this.unstored ?? read(this.platform.notes.get(SIGN_IN_NOTE));
  }

  /** Stores a sign-in that the server has just confirmed. */
  private save(signIn: SignIn): void {
    this.confirmed = Promise.resolve();
    const text = JSON.stringify(signIn);
    this.platform.notes.set(SIGN_IN_NOTE, text);
    this.unstored = this.platform.notes.get(SIGN_IN_NOTE) === text ? null : signIn;
  }
}

function read(note: string | null): SignIn | null {
  if (note === null) return null;
  try {
    const f = new Fields("sign-in", JSON.parse(note) as unknown);
    return {
      uid: f.text("uid"),
      email: f.optionalText("email"),
      idToken: f.text("idToken"),
      refreshToken: f.text("refreshToken"),
      endsAt: f.number("endsAt"),
    };
  } catch (err) {
    if (err instanceof Malformed || err instanceof SyntaxError) return null;
    throw err;
  }
}

/** Returns the end of the sign-in if a refusal means that. */
function endOf({ code }: Refused): SignInEnded | null {
  switch (code) {
    case "USER_DISABLED":
      return new SignInEnded("disabled");
    case "EMAIL_NOT_FOUND":
      return new SignInEnded("deleted");
    case "INVALID_ID_TOKEN":
    case "INVALID_REFRESH_TOKEN":
    case "TOKEN_EXPIRED":
    case "USER_NOT_FOUND":
      return new SignInEnded("ended");
    default:
      return null;
  }
}
