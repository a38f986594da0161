/** The reason why a sign-in has ended. Loaded with the sign-in page of an ended device. */
import { Fields } from "../../protocol/fields";
import type { Platform } from "../../platform/platform";

const TIMEOUT_MS = 20_000;

/**
 * Asks the server when the password was changed that ended the sign-in of a token, in ms. Null if it does not say so, for
 * example because the token has expired.
 */
export async function passwordChangedAt(
  http: Platform["http"],
  apiBase: string,
  token: string,
): Promise<number | null> {
  const { status, body } = await http.request({
    method: "GET",
    url: `${apiBase.replace(/\/$/, "")}/me`,
    headers: { accept: "application/json", authorization: `Bearer ${token}` },
    body: null,
    timeoutMs: TIMEOUT_MS,
  });
  if (status !== 401) return null;
  const at = new Fields("problem", JSON.parse(body)).optionalInteger("password_changed_at");
  return at === null ? null : Math.round(at / 1000);
}
