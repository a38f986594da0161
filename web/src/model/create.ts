import { PasswordIdentity } from "../net/passwordIdentity";
import { browserPlatform } from "../platform/browser";
import { loadCode } from "../platform/code";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's platform. Nothing runs until {@link App.start}. */
export function createApp(): App {
  const platform = browserPlatform();
  return new AppModel(
    platform,
    (config) => new PasswordIdentity(platform, config),
    // The sign-in form does not need this code.
    () => loadCode(() => import("./chat/open")),
  );
}
