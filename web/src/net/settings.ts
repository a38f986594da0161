/** `/me/setting` and `/me/settings`: the user's choices about conversations and messages. */
import { readSetting, readSettings } from "../protocol/codec";
import { Fields } from "../protocol/fields";
import type { Setting } from "../protocol/frames";
import type { HttpApi } from "./http";

/** Returns all settings, those of conversations that are off included. */
export function loadAllSettings(http: HttpApi): Promise<readonly Setting[]> {
  return http.read({ method: "GET", path: "me/settings" }, readAllSettings);
}

/** Stores a setting. Returns the choice that counts, which may be a later one. */
export function putSetting(http: HttpApi, setting: Setting): Promise<Setting> {
  const { conversation, message, kind, value, at, id } = setting;
  const body = { conversation, kind, value, at, id, ...(message === "" ? {} : { message }) };
  return http.read({ method: "PUT", path: "me/setting", body }, (answer) => ({
    ...readSetting(new Fields("setting", answer), setting),
    message,
  }));
}

function readAllSettings(value: unknown): Setting[] {
  const f = new Fields("settings", value);
  const found = f
    .object("conversations")
    .entries()
    .flatMap(([conversation, kinds]) => readSettings(new Fields("settings", kinds), conversation));
  for (const entry of f.list("stars")) {
    const star = new Fields("star", entry);
    const subject = { conversation: star.text("conversation"), kind: "star" };
    found.push({ ...subject, message: star.text("message"), value: 1, at: star.integer("at", 1), id: star.text("id") });
  }
  return found;
}
