/** The second factor of the account: an authenticator app, and recovery codes. Loaded with the screens about it. */
import type { NewFactor } from "../net/identity";
import { Fields } from "../protocol/fields";
import type { AccountParts } from "./interface/app";
import type { LateParts } from "./interface/late";
import type { Outcome } from "./interface/outcome";
import { revoked } from "./others";
import { outcome } from "./outcome";

export type { FactorCalls, NewFactor } from "../net/identity";

export interface SecondFactor {
  /** Sign-ins need a code of the app. */
  readonly on: boolean;
  /** How many recovery codes have not been used. */
  readonly codesLeft: number;
}

/** Returns whether the account has a second factor. Null: the server is an earlier one, which has none. */
export function readSecondFactor({ http }: Pick<LateParts, "http">): Promise<Outcome<SecondFactor | null>> {
  return outcome(() =>
    http.read({ method: "GET", path: "me" }, (answer) => {
      const own = new Fields("profile", answer);
      if (!own.has("second_factor")) return null;
      return { on: own.bool("second_factor"), codesLeft: own.integer("recovery_codes") };
    }),
  );
}

/** Returns a secret for an authenticator app. Problems: "wrong_password", "email_unverified", "factor_exists". */
export async function startFactor(
  { identity }: Pick<AccountParts, "identity">,
  late: Pick<LateParts, "confirm">,
  password: string,
): Promise<Outcome<NewFactor>> {
  const confirmed = await late.confirm(password);
  return confirmed.ok ? await outcome(async () => (await identity.factors()).start()) : confirmed;
}

/**
 * Makes sign-ins need a code of the app that has the secret. `code` is one of them. Every other device is signed out.
 * Problems: "code_wrong", and "code_late" or "sign_in_again" if the user has to start anew.
 */
export function finishFactor(
  { identity }: Pick<AccountParts, "identity">,
  late: Pick<LateParts, "renew">,
  factor: NewFactor,
  code: string,
): Promise<Outcome> {
  return late.renew(async () => (await identity.factors()).finish(factor, code));
}

/** Replaces the recovery codes. Needs a sign-in with the app within the last minutes. */
export function newRecoveryCodes({ http }: Pick<LateParts, "http">): Promise<Outcome<readonly string[]>> {
  return outcome(() =>
    http.read({ method: "POST", path: "me/recovery-codes" }, (answer) =>
      new Fields("codes", answer).list("codes").filter((code) => typeof code === "string"),
    ),
  );
}

/** Makes the password alone sign the user in. Needs a sign-in with the app within the last minutes. */
export function removeFactor({ http }: Pick<LateParts, "http">): Promise<Outcome> {
  return outcome(async () => {
    await http.answer({ method: "DELETE", path: "me/second-factor" });
  });
}

/**
 * Removes the second factor with a recovery code, which ends all sign-ins, and signs in. Resolves to false if only the
 * factor could be removed. Problems: "wrong_password", "recovery_code_wrong", "too_many_tries".
 */
export function recover(parts: AccountParts, email: string, password: string, code: string): Promise<Outcome<boolean>> {
  return outcome(async () => {
    const body = { email: email.trim(), password: password.normalize("NFC"), code: code.trim() };
    await parts.http().text({ method: "POST", path: "signup/recover", body, open: true });
    await revoked(parts.platform);
    return (await parts.signIn(email, password)).ok;
  });
}

/** Returns what the QR code for an authenticator app contains (Key URI Format). */
export function appUri({ secret }: NewFactor, issuer: string, account: string): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(account)}`;
  return `otpauth://totp/${label}?secret=${encodeURIComponent(secret)}&issuer=${encodeURIComponent(issuer)}`;
}

/** Returns a code as an app shows it in groups, without the spaces. */
export function plain(code: string): string {
  return code.replace(/[\s-]/gu, "");
}
