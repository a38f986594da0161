/** Creating an account. Loaded with the forms. */
import type { AccountParts } from "./interface/app";
import type { Outcome } from "./interface/outcome";
import { outcome } from "./outcome";

/** The form for a new account. */
export interface NewAccount {
  readonly email: string;
  readonly password: string;
  readonly username: string;
  readonly displayName: string;
}

/**
 * Creates the account, signs in, and has an email sent that verifies the address. On success, the session is
 * `signed-in`, also if that email cannot be sent. Problems carry `fields`.
 */
export async function signUp(parts: AccountParts, form: NewAccount): Promise<Outcome> {
  const body = {
    email: form.email.trim(),
    // Keyboards differ in how they type "é".
    password: form.password.normalize("NFC"),
    username: form.username.trim(),
    display_name: form.displayName.trim(),
  };
  const created = await outcome(() => parts.http().text({ method: "POST", path: "signup", body, open: true }));
  if (!created.ok) return created;
  const signedIn = await parts.signIn(form.email, form.password);
  // The account exists without it. The user can have it sent again.
  if (signedIn.ok)
    parts.identity
      .mail()
      .then((mail) => mail.sendVerification())
      .catch((err: unknown) => parts.platform.report("the address could not be verified", err));
  return signedIn;
}
