/**
 * Puts messages into the client's own store, through the client's own code: bundled by long.measure.ts and run in a page of the system.
 */
import { browserPlatform } from "../src/platform/browser";
import { AccountStore } from "../src/model/store/account";
import { emptyConversation } from "../src/model/store/tx";
import { conversationId } from "../src/protocol/chat";
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

/** A conversation of `count` messages, complete, one every three minutes or so, the last one a minute ago. */
export async function seed({ me, other, count }: Seed): Promise<void> {
  const platform = browserPlatform();
  const store = await AccountStore.open(platform, me);
  const id = conversationId(me, other);
  const end = Date.now() - 60_000;
  const at = (n: number): number => (end - (count - 1 - n) * 187_000) * 1000;
  for (let n = 0; n < count;) {
    const until = Math.min(count, n + 5_000);
    await store.write(async (tx) => {
      for (; n < until; n++) {
        const mine = n % 7 < 3;
        await tx.putMessage({
          id: uuidv7(at(n) / 1000, platform.random.bytes(10)),
          conversation: id,
          from: mine ? me : other,
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
    const loss = await tx.loss();
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
      checked: loss.n,
      checkedAt: Date.now(),
    });
  });
  store.close();
}
