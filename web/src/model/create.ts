import { PasswordIdentity } from "../net/passwordIdentity";
import { ApiProblem } from "../net/problem";
import { browserPlatform } from "../platform/browser";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's platform. Nothing runs until {@link App.start}. */
export function createApp(): App {
  const platform = browserPlatform();
  return new AppModel(
    platform,
    (config) => new PasswordIdentity(platform, config),
    // The sign-in form does not need this code.
    () =>
      import("./chat/open").catch((err: unknown) => {
        // A failure means that there is no network.
        throw new ApiProblem(0, "offline", "", { cause: err });
      }),
  );
}
