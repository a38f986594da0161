/**
 * Fills the store of the client with messages, through the code of the client. The measurements bundle it and run it in
 * a page of the system.
 */
import { browserPlatform } from "../src/platform/browser";
import { LocalStore } from "../src/model/store/store";
import { emptyConversation } from "../src/model/store/tx";
import { type KnownUser, storeKnown } from "../src/model/testing/known";
import { conversationId, messageKey } from "../src/protocol/chat";
import { uuidv7 } from "../src/protocol/uuid";

export interface Seed {
  readonly me: string;
  readonly other: string;
  readonly count: number;
}

const words =
  "when the train came in it was late again and nobody knew why so we walked along the river until it got dark".split(
    " ",
  );

/** Stores a complete conversation of `count` messages, about three minutes apart, the last one a minute ago. */
export async function seed({ me, other, count }: Seed): Promise<void> {
  const platform = browserPlatform();
  const store = await LocalStore.open(platform, me);
  const id = conversationId(me, other);
  const end = Date.now() - 60_000;
  const at = (n: number): number => (end - (count - 1 - n) * 187_000) * 1000;
  for (let n = 0; n < count;) {
    const until = Math.min(count, n + 5_000);
    await store.write(async (tx) => {
      for (; n < until; n++) {
        const mine = n % 7 < 3;
        const message = { id: uuidv7(at(n) / 1000, platform.random.bytes(10)), from: mine ? me : other };
        await tx.putMessage({
          ...message,
          key: messageKey(message),
          conversation: id,
          to: mine ? other : me,
          body: `${n + 1}: ${Array.from({ length: 3 + ((n * 7919) % 40) }, (_, w) => words[(n + w * 3) % words.length]).join(" ")}`,
          replyTo: null,
          at: at(n),
          place: at(n),
          status: mine ? "delivered" : "received",
          acceptedAt: at(n),
          deliveredAt: mine ? at(n) : null,
          refusal: null,
          typedAt: null,
        });
      }
    });
  }
  await store.write(async (tx) => {
    const row = (await tx.conversation(id)) ?? emptyConversation(id, other);
    const gap = await tx.gap();
    const last = at(count - 1);
    await tx.putConversation({
      ...row,
      recent: last,
      newest: last,
      myRead: last,
      otherRead: last,
      readShown: last,
      loadedFrom: at(0),
      complete: true,
      checked: gap.n,
      checkedAt: Date.now(),
    });
  });
  store.close();
}

/** Stores a short conversation with each of the users, as a device that was used 29 days ago has them. */
export async function seedKnown(me: string, users: readonly KnownUser[]): Promise<void> {
  const platform = browserPlatform();
  const store = await LocalStore.open(platform, me);
  await storeKnown(store, platform.random, me, users, (Date.now() - 29 * 24 * 3_600_000 - 60_000) * 1000);
  store.close();
}
