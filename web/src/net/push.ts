/** `/me/push`: where pushes for a device go. */
import { Fields } from "../protocol/fields";
import type { PushSubscribed } from "../platform/platform";
import type { HttpApi } from "./http";

type Http = Pick<HttpApi, "answer" | "read">;

/** Returns our public key, with which a browser subscribes. */
export function pushKey(http: Http): Promise<string> {
  return http.read({ method: "GET", path: "me/push" }, (answer) => new Fields("push", answer).text("public_key"));
}

export interface PushWishes {
  /** Whether pushes have the text of messages. */
  readonly preview: boolean;
  /** When none are sent: `from` and `to` are minutes of the day in `zone`, `until` is in ms. */
  readonly quiet: { readonly from: number; readonly to: number; readonly until: number };
  readonly zone: string;
}

/** Returns the ids of the devices to which the server sends pushes. */
export function pushDevices(http: Http): Promise<readonly string[]> {
  return http.read({ method: "GET", path: "me/push" }, (answer) =>
    new Fields("push", answer).list("devices").map((device) => new Fields("device", device).text("device")),
  );
}

/** Makes the server send a test to a device. */
export async function testPush(http: Http, device: string): Promise<void> {
  await http.answer({ method: "POST", path: "me/push/test", body: { device } });
}

/** Registers the subscription of a device. */
export async function putPush(
  http: Http,
  device: string,
  { endpoint, keys }: PushSubscribed,
  { preview, quiet: { from, to, until }, zone }: PushWishes,
): Promise<void> {
  const quiet = { from, to, zone, until: Math.round(until) * 1_000 };
  await http.answer({ method: "PUT", path: "me/push", body: { device, endpoint, keys, preview, quiet } });
}

export async function deletePush(http: Http, device: string): Promise<void> {
  await http.answer({ method: "DELETE", path: "me/push", body: { device } });
}
