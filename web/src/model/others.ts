/** Ending all other sign-ins of the user. Loaded with the settings, and with the recovery of an account. */
import type { Clock } from "../platform/platform";
import type { LateParts } from "./interface/late";
import type { Outcome } from "./interface/outcome";
import { outcome } from "./outcome";

/** From the revocation of all sign-ins until a new one is not one of them: they are revoked up to a whole second. */
const REVOKED_MS = 2_000;
/** The longest wait for the next attempt to sign in then. */
const AGAIN_MS = 60_000;

type Parts = Pick<LateParts, "confirm" | "http"> & {
  readonly platform: Pick<LateParts["platform"], "clock" | "report">;
};

/**
 * Signs out every other device, which deletes its data. `password` and `code` are as in Chat.leave. Resolves to false if
 * this device stays signed in for an hour at most, because going on needs another code: `confirm` with the next one
 * keeps it signed in.
 */
export function signOutElsewhere(parts: Parts, password: string, code?: string): Promise<Outcome<boolean>> {
  return revoke(parts, { method: "DELETE", path: "me/devices" }, password, password, code);
}

/**
 * Changes the password, and signs out every other device, which keeps its data. `password` is the present one. Problems
 * with the new one: "password_common", "password_own_name", or "invalid_fields" with `fields`. Resolves as
 * {@link signOutElsewhere} does.
 */
export function changePassword(
  parts: Parts,
  chosen: string,
  password: string,
  code?: string,
): Promise<Outcome<boolean>> {
  // Keyboards differ in how they type "é".
  const body = { password: chosen.normalize("NFC") };
  return revoke(parts, { method: "POST", path: "me/password", body }, password, chosen, code);
}

/** Resolves when a new sign-in is not one of those that the server has just revoked. */
export function revoked({ clock }: { readonly clock: Clock }, ms = REVOKED_MS): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}

/** Makes a call that revokes all sign-ins, and signs this device in again, with the password `next`. */
async function revoke(
  parts: Parts,
  call: Parameters<Parts["http"]["answer"]>[0],
  password: string,
  next: string,
  code: string | undefined,
): Promise<Outcome<boolean>> {
  const confirmed = await parts.confirm(password, code);
  if (!confirmed.ok) return confirmed;
  const done = await outcome(() => parts.http.answer(call));
  if (!done.ok) return done;
  // The call has done its work, so the user does not hear of later failures: the token of this sign-in is valid for up
  // to an hour, and then the user has to sign in.
  for (let wait = REVOKED_MS; ; wait *= 2) {
    await revoked(parts.platform, wait);
    const again = await parts.confirm(next);
    if (again.ok) return { ok: true, value: true };
    const reason = again.problem.code;
    if ((reason === "offline" || reason === "sign_in_unavailable") && wait < AGAIN_MS) continue;
    if (reason === "code_needed") return { ok: true, value: false };
    parts.platform.report("this device could not sign in again", reason);
    return { ok: true, value: true };
  }
}
