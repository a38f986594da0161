import { IdentityToolkit } from "../net/identitytoolkit";
import { ApiProblem } from "../net/problem";
import { browserPlatform } from "../platform/browser";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's own platform. Nothing happens until {@link App.start}. */
export function createApp(): App {
  const platform = browserPlatform();
  return new AppModel(
    platform,
    (config) => new IdentityToolkit(platform, config),
    // Half of all code, of which the sign-in form needs nothing.
    () =>
      import("./chat/open").catch((err: unknown) => {
        throw new ApiProblem(0, "offline", "", { cause: err });
      }),
  );
}
