/**
 * Accounts and sign-ins without the forms. Tests in which signing up or in is only the set-up use these, because the
 * forms take most of the time of such a test.
 */
import type { BrowserContextOptions } from "@playwright/test";
import { type System, system, verifyAddress } from "./system";
import type { User } from "./user";

/** Creates the account, as the sign-up form does, with a verified address. Returns the user's id. */
export async function createAccount(user: User, of: System = system()): Promise<string> {
  const uid = await createUnverified(user, of);
  await verifyAddress(user.email, of);
  return uid;
}

/** Creates the account, as the sign-up form does. Returns the user's id. */
export async function createUnverified(user: User, of: System = system()): Promise<string> {
  const answer = await fetch(`${of.url}/api/signup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      email: user.email,
      password: user.password,
      username: user.username,
      display_name: user.name,
    }),
  });
  if (!answer.ok) throw new Error(`Signing up ${user.username}: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { uid: string }).uid;
}

/** Credentials of a signed-in user; the token authorizes requests. */
export interface SignIn {
  readonly uid: string;
  readonly token: string;
  readonly refreshToken: string;
  /** In seconds. */
  readonly expiresIn: number;
}

/** Signs in, as a browser does. */
export async function signIn(user: User, of: System = system()): Promise<SignIn> {
  const answer = await fetch(
    `http://${of.auth}/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local`,
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: user.email, password: user.password, returnSecureToken: true }),
    },
  );
  if (!answer.ok) throw new Error(`Signing in as ${user.email}: ${await answer.text()}`);
  const { localId, idToken, refreshToken, expiresIn } = (await answer.json()) as {
    localId: string;
    idToken: string;
    refreshToken: string;
    expiresIn: string;
  };
  return { uid: localId, token: idToken, refreshToken, expiresIn: Number(expiresIn) };
}

/**
 * Signs in, unless a sign-in is given, and returns what a browser stores of it: the notes of net/passwordIdentity.ts and
 * model/session/remembered.ts.
 */
export async function storedSignIn(
  { email, ...user }: User,
  of: System = system(),
  as?: SignIn,
): Promise<NonNullable<BrowserContextOptions["storageState"]>> {
  const { uid, token, refreshToken, expiresIn } = as ?? (await signIn({ email, ...user }, of));
  const record = { uid, email, idToken: token, refreshToken, endsAt: Date.now() + expiresIn * 1000 };
  const localStorage = [
    { name: "phoenix.sign-in", value: JSON.stringify(record) },
    { name: "phoenix.account", value: JSON.stringify({ uid, email }) },
  ];
  return { cookies: [], origins: [{ origin: of.url, localStorage }] };
}

/** Returns the link in the newest email to an address whose link has this `mode`. */
export async function mailedLink(mode: string, to: string, of: System = system()): Promise<string> {
  const answer = await fetch(`http://${of.auth}/emulator/v1/projects/${of.project}/oobCodes`);
  const { oobCodes } = (await answer.json()) as {
    oobCodes: readonly { readonly email: string; readonly newEmail?: string; readonly oobLink: string }[];
  };
  const found = oobCodes.findLast(
    ({ email, newEmail, oobLink }) =>
      (mode === "verifyAndChangeEmail" ? newEmail : email) === to && new URL(oobLink).searchParams.get("mode") === mode,
  );
  if (!found) throw new Error(`No such email was sent to ${to}.`);
  return found.oobLink;
}
