/** Fills the store of a device with conversations that it knows completely, for tests and measurements. */
import { conversationId, messageKey, type Micros } from "../../protocol/chat";
import { uuidv7 } from "../../protocol/uuid";
import type { Random } from "../../platform/platform";
import type { LocalStore } from "../store/store";
import { emptyConversation } from "../store/tx";

export interface KnownUser {
  readonly uid: string;
  readonly username: string;
  readonly displayName: string;
}

/**
 * Stores a conversation with each of `others`: one message, received and read at `at`, and the names of the user. The
 * device has loaded what it had missed before.
 */
export async function storeKnown(
  store: LocalStore,
  random: Random,
  me: string,
  others: readonly KnownUser[],
  at: Micros,
): Promise<void> {
  await store.write(async (tx) => {
    const gap = await tx.gap();
    await tx.putMeta({ name: "gap", gap: { ...gap, due: null } });
    for (const other of others) {
      const id = conversationId(me, other.uid);
      const message = {
        id: uuidv7(at / 1000, random.bytes(10)),
        from: other.uid,
        body: `hello from ${other.displayName}`,
      };
      await tx.putUser({ ...other, loadedAt: at / 1000 });
      await tx.putMessage({
        ...message,
        key: messageKey(message),
        conversation: id,
        to: me,
        replyTo: null,
        at,
        place: at,
        status: "received",
        acceptedAt: at,
        deliveredAt: null,
        refusal: null,
        typedAt: null,
      });
      await tx.putConversation({
        ...emptyConversation(id, other.uid),
        answered: true,
        recent: at,
        newest: at,
        preview: { ...message, at },
        myRead: at,
        readShown: at,
        loadedFrom: at,
        complete: true,
        checked: gap.n,
        checkedAt: at / 1000,
      });
    }
  });
}
