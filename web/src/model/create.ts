import { IdentityToolkit } from "../net/identitytoolkit";
import { browserPlatform } from "../platform/browser";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's own platform. Nothing happens until {@link App.start}. */
export function createApp(): App {
  const platform = browserPlatform();
  return new AppModel(platform, (config) => new IdentityToolkit(platform, config));
}
