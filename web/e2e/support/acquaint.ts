/** People who accept each other, as most people of the tests have. Otherwise, a first message is a request. */
import { randomBytes } from "node:crypto";
import type { BrowserContext } from "@playwright/test";
import { conversationId } from "../../src/protocol/chat";
import { uuidv7 } from "../../src/protocol/uuid";
import { redis } from "./redis";
import { type System, system } from "./system";
import type { User } from "./user";

/** A user who is signed in in a browser. */
interface Present extends User {
  readonly context: BrowserContext;
}

interface Account {
  readonly url: string;
  readonly uid: string;
  readonly token: string;
}

/** Returns the sign-in that the browser stores. Another one would be shown as another device. */
async function accountOf({ name, context }: Present): Promise<Account> {
  for (const { origin, localStorage } of (await context.storageState()).origins) {
    const stored = localStorage.find((note) => note.name === "phoenix.sign-in")?.value;
    if (stored === undefined) continue;
    const { uid, idToken } = JSON.parse(stored) as { readonly uid: string; readonly idToken: string };
    return { url: origin, uid, token: idToken };
  }
  throw new Error(`${name} is not signed in`);
}

async function call({ url, token }: Account, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${url}/api/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function accept(account: Account, other: string): Promise<void> {
  await call(account, "PUT", "me/setting", {
    conversation: conversationId(account.uid, other),
    kind: "accept",
    value: 1,
    at: Date.now() * 1000,
    id: uuidv7(Date.now(), randomBytes(10)),
  });
}

/**
 * Lets each of `people`, who are signed in, accept every other one, and those of `others`, who may be anywhere. Only
 * people who have written can be accepted, so this records in Redis that they have, without a message.
 */
export async function acquaint(
  people: readonly Present[],
  others: readonly User[] = [],
  of: System = system(),
): Promise<void> {
  const accounts = await Promise.all(people.map(accountOf));
  const [first] = accounts;
  if (!first) return;
  const uids = accounts.map(({ uid }) => uid);
  for (const { username } of others) {
    const found = (await call(first, "GET", `users?username=${encodeURIComponent(username)}`)) as {
      readonly users: readonly { readonly uid: string }[];
    };
    uids.push(...found.users.map(({ uid }) => uid));
  }
  await Promise.all(
    accounts.flatMap((account) =>
      uids
        .filter((uid) => uid !== account.uid)
        .map(async (uid) => {
          await redis(of.redis, "HSET", `peers:{${account.uid}}`, uid, "2"); // the other one has written
          await accept(account, uid);
        }),
    ),
  );
}
