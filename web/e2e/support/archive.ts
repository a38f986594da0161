/** Reads what is stored, without the client: in the store itself, and in Redis. */
import { type ChatMessage, messageKey } from "../../src/protocol/chat";
import { redis } from "./redis";
import { system } from "./system";

export { conversationId } from "../../src/protocol/chat";

/**
 * Reports whether the message is in the store. With the emulators, it asks Firestore's REST API; otherwise the
 * functions, which read the embedded store.
 */
export async function saved(
  token: string,
  conversation: string,
  message: Pick<ChatMessage, "id" | "from">,
): Promise<boolean> {
  const { firestore, project, url } = system();
  if (firestore !== undefined) {
    const path = `projects/${project}/databases/(default)/documents/conversations/${conversation}/messages/${messageKey(message)}`;
    const answer = await fetch(`http://${firestore}/v1/${path}`, { headers: { authorization: "Bearer owner" } });
    if (answer.status === 404) return false;
    if (!answer.ok) throw new Error(`Firestore: ${answer.status} ${await answer.text()}`);
    return true;
  }
  const answer = await fetch(`${url}/api/messages?conversation=${encodeURIComponent(conversation)}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!answer.ok) throw new Error(`Messages: ${answer.status} ${await answer.text()}`);
  const { messages } = (await answer.json()) as { messages: readonly Pick<ChatMessage, "id" | "from">[] };
  return messages.some((m) => messageKey(m) === messageKey(message));
}

/** Reports whether the user's stream in Redis holds a message event with this id. */
export async function queued(uid: string, message: string): Promise<boolean> {
  const entries = await redis(system().redis, "XRANGE", `inbox:{${uid}}`, "-", "+");
  return JSON.stringify(entries).includes(message);
}

/** Returns how many messages in the user's inbox no device has acknowledged. Marked ones are not forgotten at once. */
export async function pending(uid: string): Promise<number> {
  const marks = await list("ZRANGE", `marked:{${uid}}`, "0", "-1", "WITHSCORES");
  // After the marks, because what is forgotten in between has neither a mark nor a record.
  const records = await list("HVALS", `pending:{${uid}}`);
  const marked = Math.max(0, ...marks.filter((_, i) => i % 2 === 1).map(Number));
  const score = (record: string): number => {
    const [ms, seq] = (record.split(" ")[0] ?? "").split("-").map(Number);
    return (ms ?? 0) * 1024 + (seq ?? 0);
  };
  return records.filter((record) => score(record) > marked).length;
}

async function list(...command: string[]): Promise<string[]> {
  return ((await redis(system().redis, ...command)) as string[] | null) ?? [];
}
