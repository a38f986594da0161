import type { HttpApi } from "../../net/http";
import type { AdminCalls } from "../interface/admin";
import type { Outcome } from "../interface/outcome";
import { outcome } from "../outcome";

/** Makes {@link AdminCalls}. `onForbidden` is called when the server refuses because this user is not an admin. */
export function adminCalls(http: HttpApi, { onForbidden }: { onForbidden: () => void }): Omit<AdminCalls, "confirm"> {
  const options = { timeoutMs: 5 * 60_000, claim: true };
  async function reportForbidden<T>(work: () => Promise<T>): Promise<Outcome<T>> {
    const got = await outcome(work);
    if (!got.ok && got.problem.code === "forbidden") onForbidden();
    return got;
  }
  return {
    call: (method, path, body) =>
      reportForbidden(() =>
        http.json({ method, path: `admin${path}`, ...(body === undefined ? {} : { body }), ...options }),
      ),
    download: (path) =>
      reportForbidden(async () => {
        const text = await http.text({ method: "GET", path: `admin${path}`, ...options });
        // Without a byte order mark, spreadsheets read the file in a legacy encoding.
        return new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" });
      }),
  };
}
