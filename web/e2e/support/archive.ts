/** Looks at what is kept, past the client: the store's own door, and Redis. */
import type { Account } from "./account";
import { redis } from "./redis";
import { system } from "./system";

/** Signs in as a browser would; the token stands for the account in requests. */
export async function signIn(who: Account): Promise<{ readonly uid: string; readonly token: string }> {
  const answer = await fetch(
    `http://${system().auth}/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=local`,
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: who.email, password: who.password, returnSecureToken: true }),
    },
  );
  if (!answer.ok) throw new Error(`Signing in as ${who.email}: ${await answer.text()}`);
  const { localId, idToken } = (await answer.json()) as { localId: string; idToken: string };
  return { uid: localId, token: idToken };
}

/** The conversation id of two people. */
export function conversation(a: string, b: string): string {
  return [a, b].sort().join("~");
}

/**
 * Whether the message is in the store: with the emulators asked of Firestore's own REST API,
 * else of the functions, which read the embedded store.
 */
export async function saved(token: string, conversation: string, message: string): Promise<boolean> {
  const { firestore, project, url } = system();
  if (firestore !== undefined) {
    const path = `projects/${project}/databases/(default)/documents/conversations/${conversation}/messages/${message}`;
    const answer = await fetch(`http://${firestore}/v1/${path}`, { headers: { authorization: "Bearer owner" } });
    if (answer.status === 404) return false;
    if (!answer.ok) throw new Error(`Firestore: ${answer.status} ${await answer.text()}`);
    return true;
  }
  const answer = await fetch(`${url}/api/messages?conversation=${encodeURIComponent(conversation)}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!answer.ok) throw new Error(`Messages: ${answer.status} ${await answer.text()}`);
  const { messages } = (await answer.json()) as { messages: readonly { readonly id: string }[] };
  return messages.some((m) => m.id === message);
}

/** Whether the person's stream in Redis holds a message event with this id. */
export async function queued(uid: string, message: string): Promise<boolean> {
  const entries = await redis(system().redis, "XRANGE", `inbox:{${uid}}`, "-", "+");
  return JSON.stringify(entries).includes(message);
}

/** Messages that nobody has acknowledged, in the person's inbox. */
export async function pending(uid: string): Promise<number> {
  return Number(await redis(system().redis, "HLEN", `pending:{${uid}}`));
}
