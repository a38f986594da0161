import type { LateParts } from "../interface/late";
import type { Outcome } from "../interface/outcome";
import { outcome } from "../outcome";

/** Makes a picture that of the signed-in user; null removes it. The server checks it. */
export function setPicture(parts: LateParts, picture: Blob | null): Promise<Outcome> {
  return outcome(async () => {
    const call = picture === null ? { method: "DELETE" as const } : { method: "PUT" as const, blob: picture };
    await parts.http.answer({ ...call, path: "me/picture" });
    await parts.reload();
  });
}
