import { ApiProblem } from "../net/problem";
import { browserPlatform } from "../platform/browser";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's platform. Nothing runs until {@link App.start}. */
export function createApp(): App {
  return new AppModel(
    browserPlatform(),
    async (config) => (await later(import("../net/firebase"))).firebaseIdentity(config),
    // This is half of the code, and the sign-in form does not need it.
    () => later(import("./chat/open")),
  );
}

/** Loads code on demand. A failure means that there is no network. */
function later<T>(code: Promise<T>): Promise<T> {
  return code.catch((err: unknown) => {
    throw new ApiProblem(0, "offline", "", { cause: err });
  });
}
