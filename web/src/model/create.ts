import { ApiProblem } from "../net/problem";
import { browserPlatform } from "../platform/browser";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's own platform. Nothing happens until {@link App.start}. */
export function createApp(): App {
  return new AppModel(
    browserPlatform(),
    async (config) => (await later(import("../net/firebase"))).firebaseIdentity(config),
    // Half of all code, of which the sign-in form needs nothing.
    () => later(import("./chat/open")),
  );
}

/** Code that is loaded when it is needed: where it does not come, the network is away. */
function later<T>(code: Promise<T>): Promise<T> {
  return code.catch((err: unknown) => {
    throw new ApiProblem(0, "offline", "", { cause: err });
  });
}
