/** An authenticator app (RFC 6238: six digits, 30 s, SHA-1), and accounts that have one. */
import { createHmac } from "node:crypto";
import { expect, type Locator, type Page } from "@playwright/test";
import { authText } from "../../src/text/auth";
import { factorText } from "../../src/text/secondFactor";
import type { SignIn } from "./accounts";
import { type System, system } from "./system";
import type { User } from "./user";

const PERIOD_MS = 30_000;

/**
 * The codes of one secret. The server accepts those of the present period and the two beside it, each once and only in
 * their order. So a test can use three codes without waiting.
 */
export class AuthenticatorApp {
  private readonly secret: Buffer;
  private last = -Infinity;

  /** `secret` is in base32, and may have spaces. */
  constructor(secret: string) {
    const bits = [...secret.replaceAll(" ", "")]
      .map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"))
      .join("");
    this.secret = Buffer.from(bits.match(/.{8}/gu)?.map((byte) => parseInt(byte, 2)) ?? []);
  }

  /** Returns the oldest code that the server still accepts. Throws if all of them were used. */
  next(): string {
    const now = Math.floor(Date.now() / PERIOD_MS);
    this.last = Math.max(now - 1, this.last + 1);
    if (this.last > now + 1) throw new Error("the test uses more than three codes within a minute");
    return this.at(this.last);
  }

  private at(period: number): string {
    const counter = Buffer.alloc(8);
    counter.writeBigUInt64BE(BigInt(period));
    const hash = createHmac("sha1", this.secret).update(counter).digest();
    const value = hash.readUInt32BE((hash.at(-1) ?? 0) & 15) & 0x7fffffff;
    return String(value % 1_000_000).padStart(6, "0");
  }
}

/** Sets up an authenticator app in the open settings. Returns it, and the recovery codes. */
export async function setUpApp(
  page: Page,
  user: User,
): Promise<{ readonly app: AuthenticatorApp; readonly codes: readonly string[] }> {
  await page.getByRole("region", { name: factorText.title }).getByRole("button", { name: factorText.setUp }).click();
  const dialog = page.getByRole("dialog", { name: factorText.setUpTitle });
  await dialog.getByLabel(authText.password, { exact: true }).fill(user.password);
  await page.keyboard.press("Enter");
  const app = new AuthenticatorApp(await dialog.getByText(/^(?:[A-Z2-7]{4} ?){8}$/u).innerText());
  await dialog.getByLabel(factorText.code, { exact: true }).fill(app.next());
  await page.keyboard.press("Enter");
  const shown = page.getByRole("dialog", { name: factorText.yours });
  await expect(shown.getByRole("listitem")).toHaveCount(10);
  const codes = await shown.getByRole("listitem").allInnerTexts();
  await shown.getByRole("button", { name: factorText.saved }).click();
  return { app, codes };
}

/** Enters a code of the app where it is asked for. */
export async function enterCode(at: Page | Locator, app: AuthenticatorApp): Promise<void> {
  const code = at.getByLabel(factorText.code, { exact: true });
  await code.fill(app.next());
  await code.press("Enter");
}

/** Gives an account, whose address is verified, an authenticator app. `as` is the sign-in that follows. */
export async function enroll(
  user: User,
  of: System = system(),
): Promise<{ readonly app: AuthenticatorApp; readonly as: SignIn }> {
  const call = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const answer = await fetch(`http://${of.auth}/identitytoolkit.googleapis.com/${path}?key=local`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path} of ${user.email}: ${await answer.text()}`);
    return (await answer.json()) as Record<string, unknown>;
  };
  const { email, password } = user;
  const { localId, idToken } = await call("v1/accounts:signInWithPassword", {
    email,
    password,
    returnSecureToken: true,
  });
  const started = await call("v2/accounts/mfaEnrollment:start", { idToken, totpEnrollmentInfo: {} });
  const { sharedSecretKey, sessionInfo } = started["totpSessionInfo"] as Readonly<Record<string, string>>;
  const app = new AuthenticatorApp(sharedSecretKey ?? "");
  const totpVerificationInfo = { sessionInfo, verificationCode: app.next() };
  const done = await call("v2/accounts/mfaEnrollment:finalize", { idToken, totpVerificationInfo });
  const [token, refreshToken] = [String(done["idToken"]), String(done["refreshToken"])];
  return { app, as: { uid: String(localId), token, refreshToken, expiresIn: 3600 } };
}
