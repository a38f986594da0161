/** Emails with links: how they are sent, and what their links do. Loaded with the forms and the settings. */
import { NetworkError } from "../platform/platform";
import { Backoff } from "../net/backoff";
import { CONFIG_NOTE } from "../net/config";
import type { MailCode, MailKind } from "../net/identity";
import { ApiProblem } from "../net/problem";
import { Fields, Malformed } from "../protocol/fields";
import type { AccountParts, Session } from "./interface/app";
import type { Chat } from "./interface/chat";
import type { Outcome } from "./interface/outcome";
import type { Unsubscribe } from "./observable";
import { failed, outcome } from "./outcome";

export type { MailCalls, MailCode, MailKind } from "../net/identity";

/** The parameter `mode` in the address of a link → the kind of its code. */
const MODES: Readonly<Record<string, MailKind>> = {
  verifyEmail: "verify",
  verifyAndChangeEmail: "change",
  resetPassword: "reset",
  recoverEmail: "recover",
};
/** The note that has the time of the last email, in ms. */
const SENT_NOTE = "phoenix.mail-sent";
/** From one email that verifies an address to the next. The server sends few. */
const PAUSE_MS = 60_000;

/** A link that this page has opened. */
export interface OpenedLink extends MailCode {
  /** The person who is signed in on this page: the owner of the account of the link, somebody else, or nobody. */
  readonly here: "owner" | "other" | "nobody";
  /** The address of that person. Empty for nobody. */
  readonly hereAs: string;
}

// --- sending ---

/** Sends an email with a link for a new password. Succeeds for unknown addresses too, so that nobody can probe them. */
export function sendReset(parts: AccountParts, email: string): Promise<Outcome> {
  return outcome(async () => (await parts.identity.mail()).sendReset(email));
}

/** Sends an email that verifies the user's address. Problems: "too_many". */
export function sendVerification(parts: AccountParts): Promise<Outcome> {
  return outcome(async () => {
    await (await parts.identity.mail()).sendVerification();
    parts.platform.notes.set(SENT_NOTE, String(parts.platform.clock.now()));
  });
}

/** Returns how long the user must wait before the next email, in ms. The first was sent when the account was created. */
export function verificationPause(parts: AccountParts, createdAt: number | null): number {
  const now = parts.platform.clock.now();
  const last = Math.max(Number(parts.platform.notes.get(SENT_NOTE)) || 0, createdAt ?? 0);
  // A clock that was set back must not make anybody wait longer.
  return Math.min(PAUSE_MS, Math.max(0, last + PAUSE_MS - now));
}

/**
 * Sends an email to a new address. Its link makes it the user's address and ends all sign-ins. Problems:
 * "wrong_password", those of a `code` as in Chat.leave, and "email_invalid" or "email_taken" with `fields`.
 */
export function sendChange(parts: AccountParts, email: string, password: string, code?: string): Promise<Outcome> {
  return outcome(async () => (await parts.identity.mail()).sendChange(email, password.normalize("NFC"), code));
}

// --- the emails of a chat that runs on one machine ---

/**
 * Returns the address of the emails, if this page can open them itself: the chat runs on this machine, which delivers no
 * email. Only infra/local names them, in a field of /config.json that no other server writes.
 */
export function mailbox({ platform: { notes, page } }: Pick<AccountParts, "platform">): string | null {
  const here = new URL(page.origin);
  if (!/^(?:localhost|127(?:\.\d+){3}|\[::1\])$/u.test(here.hostname)) return null;
  const path = reading(() =>
    new Fields("config", JSON.parse(notes.get(CONFIG_NOTE) ?? "{}")).optionalText("local_mails"),
  );
  const url = new URL(path ?? "", here);
  return path !== null && path !== "" && url.origin === here.origin ? url.href : null;
}

/**
 * Returns the path and query of the link in the newest email of a kind to an address, from the {@link mailbox}.
 * Problems: "mail_missing", "offline".
 */
export function linkFor(parts: Pick<AccountParts, "platform">, kind: MailKind, to: string): Promise<Outcome<string>> {
  return outcome(async () => {
    const url = mailbox(parts);
    const answer =
      url === null
        ? null
        : await parts.platform.http
            .request({ method: "GET", url, headers: {}, body: null, timeoutMs: 10_000 })
            .catch((err: unknown) => {
              throw err instanceof NetworkError ? new ApiProblem(0, "offline", "", { cause: err }) : err;
            });
    const links = reading(() =>
      new Fields("mails", JSON.parse(answer?.body ?? "")).list("oobCodes").map((entry) => {
        const mail = new Fields("mail", entry);
        return { to: mail.optionalText(kind === "change" ? "newEmail" : "email"), link: new URL(mail.text("oobLink")) };
      }),
    );
    const found = links?.findLast(
      (mail) => same(mail.to, to) && kindOf(mail.link.searchParams.get("mode") ?? "") === kind,
    );
    if (!found) throw new ApiProblem(404, "mail_missing", "");
    return found.link.pathname + found.link.search;
  });
}

/** Returns null for text or fields that are not as expected. */
function reading<T>(read: () => T): T | null {
  try {
    return read();
  } catch (err) {
    if (err instanceof Malformed || err instanceof SyntaxError || err instanceof TypeError) return null;
    throw err;
  }
}

// --- links ---

/** Returns the kind of a link by its `mode`. Null: the address is damaged, or the kind is not known. */
export function kindOf(mode: string): MailKind | null {
  return Object.hasOwn(MODES, mode) ? (MODES[mode] ?? null) : null;
}

/**
 * Opens a link. One that verifies an address or restores the former one does that at once. The others wait for
 * {@link changeAddress} and {@link confirmReset}. Problems: "code_ended", and "link_damaged" if the code is missing or
 * of another kind.
 */
export async function openLink(parts: AccountParts, mode: string, code: string): Promise<Outcome<OpenedLink>> {
  const kind = kindOf(mode);
  if (kind === null || code === "") return failed("link_damaged");
  const opened = await outcome(async () => {
    const mail = await parts.identity.mail();
    const read = await mail.read(code);
    if (read.kind !== kind) return null;
    if (kind === "verify" || kind === "recover") await mail.apply(code);
    return read;
  });
  const chat = await chatHere(parts.session);
  const hereAs = chat?.me.get().email ?? "";
  if (!opened.ok) {
    if (kind !== "verify" || opened.problem.code !== "code_ended" || !chat) return opened;
    // The user may have opened the link before, or a filter of their mail has.
    await learnAddress(parts, chat);
    const { email, unverified } = chat.me.get();
    if (unverified !== false) return opened;
    return { ok: true, value: { kind, email, before: "", here: "owner", hereAs: email } };
  }
  const link = opened.value;
  if (!link) return failed("link_damaged");
  const account = kind === "change" || kind === "recover" ? [link.before, link.email] : [link.email];
  const here = !chat ? "nobody" : account.some((email) => email !== "" && same(email, hereAs)) ? "owner" : "other";
  if (here === "owner" && chat && kind === "verify") await learnAddress(parts, chat);
  if (here === "owner" && kind === "recover") await leaveIfEnded(parts);
  return { ok: true, value: { ...link, here, hereAs } };
}

/** Makes the new address of an opened link that of its account. All sign-ins end, also that of this page. */
export function changeAddress(parts: AccountParts, code: string, link: OpenedLink): Promise<Outcome> {
  return outcome(async () => {
    await (await parts.identity.mail()).apply(code);
    if (link.here === "owner") await leaveIfEnded(parts);
  });
}

/**
 * Sets a new password with the code of a link, signs in with it, and signs out every other device. `signedIn` is false
 * if only the password could be set. Problems: "code_ended" (used, or older than an hour), "password_weak" with `fields`.
 */
export function confirmReset(
  parts: AccountParts,
  code: string,
  password: string,
): Promise<Outcome<{ readonly signedIn: boolean }>> {
  return outcome(async () => {
    const email = await (await parts.identity.mail()).confirmReset(code, password.normalize("NFC"));
    // The code proves the address, so the user is signed in with the new password.
    const signedIn = (await parts.signIn(email, password)).ok;
    const backoff = new Backoff(parts.platform.random, 4_000, 60_000);
    if (signedIn) void signOutOthers(parts, parts.session.get(), backoff);
    return { signedIn };
  });
}

/** Signs out every other device. Tries again for a while; after that, the server notices the new password itself. */
async function signOutOthers(parts: AccountParts, session: Session, backoff: Backoff, tries = 5): Promise<void> {
  try {
    await parts.http().text({ method: "POST", path: "me/sign-out-others" });
  } catch (err) {
    if (!(err instanceof ApiProblem) || !err.retryable || tries <= 1) {
      parts.platform.report("other devices could not be signed out", err);
      return;
    }
    parts.platform.clock.after((err.retryAfterMs ?? 0) + backoff.next(), () => {
      if (session === parts.session.get()) void signOutOthers(parts, session, backoff, tries - 1);
    });
  }
}

/** Returns the chat of the person who is signed in on this page, once that is known. */
async function chatHere(session: AccountParts["session"]): Promise<Chat | null> {
  let end: Unsubscribe = () => undefined;
  const known = await new Promise<Session>((resolve) => {
    end = session.subscribe((now) => {
      if (now.state !== "starting") resolve(now);
    });
  });
  end();
  return known.state === "signed-in" ? known.chat : null;
}

/** Lets the server and this page learn that the user's address is verified: a newer token says it. */
async function learnAddress(parts: AccountParts, chat: Chat): Promise<void> {
  // The link has done its work. If this fails, the next token does it.
  if (!(await outcome(() => newToken(parts))).ok) return;
  await chat.late.reload();
  if (chat.me.get().unverified === false) await sendHeld(chat);
}

/** Sends the messages to new people that had to wait until the address is verified. The server asks to wait for longer. */
export async function sendHeld(chat: Chat): Promise<void> {
  await chat.late.change(async (tx) => {
    for (const id of new Set((await tx.outbox()).map((row) => row.conversation))) {
      const conversation = await tx.conversation(id);
      if (conversation?.held !== "too_many_new_people") continue;
      const { held: _, ...released } = conversation;
      await tx.putConversation(released);
      tx.changes.toDo("send");
    }
  });
}

/** Ends the session of this page if the server has ended its sign-in. */
async function leaveIfEnded(parts: AccountParts): Promise<void> {
  const token = await outcome(() => newToken(parts));
  if (!token.ok && token.problem.code === "signed_out") await parts.endSession("ended");
}

/** Lets the server issue another token, and so confirm the sign-in. */
async function newToken({ identity }: AccountParts): Promise<void> {
  await identity.token((await identity.token(null)).value);
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
