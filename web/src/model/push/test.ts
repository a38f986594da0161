/** Pushes that only show that pushes come (DESIGN §12): the user has asked for one, or the page wants to sleep. */
import type { Push } from "../../platform/platform";
import { Fields, Malformed } from "../../protocol/fields";
import { validUid } from "../../protocol/chat";
import type { LocalStore } from "../store/store";

/** Returns the uid of the user for whom a test is, or null if it is another push. */
export function readTest(content: string | null): string | null {
  try {
    const f = new Fields("push", JSON.parse(content ?? "") as unknown);
    const to = f.text("to");
    return f.integer("v") === 1 && f.optionalText("kind") === "test" && validUid(to) ? to : null;
  } catch (err) {
    if (err instanceof Malformed || err instanceof SyntaxError) return null;
    throw err;
  }
}

/** Shows a test, and stores that pushes come through this subscription. */
export async function proveWith(
  push: Push,
  store: LocalStore,
  { account, title, body }: { account: string; title: string; body: string },
): Promise<void> {
  await push.show(
    { tag: "/test", title, body, data: { account, conversation: "", keys: [] } },
    { picture: null, silent: false },
  );
  const endpoint = (await push.subscription())?.endpoint;
  await store.write(async (tx) => {
    const row = await tx.meta("push");
    if (row && row.endpoint === endpoint) await tx.putMeta({ ...row, proved: endpoint });
  });
}
