/** `/me/push`: where pushes for a device go. */
import { Fields } from "../protocol/fields";
import type { PushSubscribed } from "../platform/platform";
import type { HttpApi } from "./http";

type Http = Pick<HttpApi, "answer">;

/** Returns our public key, with which a browser subscribes. */
export async function pushKey(http: Http): Promise<string> {
  const { body } = await http.answer({ method: "GET", path: "me/push" });
  return new Fields("push", JSON.parse(body) as unknown).text("public_key");
}

/** Registers the subscription of a device. `preview`: pushes have the text of messages. */
export async function putPush(
  http: Http,
  device: string,
  { endpoint, keys }: PushSubscribed,
  preview: boolean,
): Promise<void> {
  await http.answer({ method: "PUT", path: "me/push", body: { device, endpoint, keys, preview } });
}

export async function deletePush(http: Http, device: string): Promise<void> {
  await http.answer({ method: "DELETE", path: "me/push", body: { device } });
}
