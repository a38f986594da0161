/** Where the user is signed in. Loaded with the settings. */
import { Fields } from "../protocol/fields";
import type { LateParts } from "./interface/late";
import type { Outcome } from "./interface/outcome";
import { outcome } from "./outcome";

/** A browser in which the user is signed in. */
export interface Device {
  readonly id: string;
  /** In ms. */
  readonly firstAt: number;
  /** The last use in ms, to the hour. */
  readonly lastAt: number;
  /** It is this browser. */
  readonly here: boolean;
  /** The name of the browser, as the browser states it. Empty if the server does not know it. */
  readonly browser: string;
  readonly system: string;
  readonly place: string;
}

/** Returns the devices, the newest first. */
export function listDevices(parts: LateParts): Promise<Outcome<readonly Device[]>> {
  return outcome(async () => {
    return await parts.http.read({ method: "GET", path: "me/devices" }, (answer) =>
      new Fields("devices", answer).list("devices").map(readDevice),
    );
  });
}

/** Signs the user out on a device, which deletes its data. */
export function signOutDevice(parts: LateParts, id: string): Promise<Outcome> {
  return outcome(async () => {
    await parts.http.answer({ method: "DELETE", path: `me/devices/${encodeURIComponent(id)}` });
  });
}

/**
 * Returns the device `id` unless the user has answered in this browser whether they signed in there, or on a newer one.
 * A device of which nothing is known has no names.
 */
export async function unseenDevice(parts: LateParts, id: string): Promise<Device | null> {
  const seen = await parts.store.read((tx) => tx.meta("seenDevice"));
  // The ids are the times of the sign-ins.
  if (id === "" || Number(id) <= Number(seen?.id ?? 0)) return null;
  const list = await listDevices(parts);
  if (list.ok) return list.value.find((device) => device.id === id) ?? null;
  return { id, firstAt: 0, lastAt: 0, here: false, browser: "", system: "", place: "" };
}

/** Notes the user's answer, for all tabs of this browser. */
export function seeDevice(parts: LateParts, id: string): Promise<Outcome> {
  return parts.change((tx) => tx.putMeta({ name: "seenDevice", id }));
}

function readDevice(value: unknown): Device {
  const f = new Fields("device", value);
  return {
    id: f.text("id"),
    firstAt: Math.round(f.number("first_at") / 1000),
    lastAt: Math.round(f.number("last_at") / 1000),
    here: f.optionalBool("this"),
    browser: f.optionalText("browser"),
    system: f.optionalText("system"),
    place: f.optionalText("place"),
  };
}
