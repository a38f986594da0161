import { ApiProblem } from "../net/problem";
import { browserPlatform } from "../platform/browser";
import type { App } from "./interface/app";
import { AppModel } from "./session/app";

/** Builds the model on the browser's own platform. Nothing happens until {@link App.start}. */
export function createApp(): App {
  return new AppModel(browserPlatform(), async (config) => {
    // The sign-in library is a quarter of all code, and nothing on the screen waits for it.
    const { loadFirebase } = await import("../net/firebase").catch((err: unknown) => {
      throw new ApiProblem(0, "offline", "The chat cannot be reached. Check your connection and try again.", { cause: err });
    });
    return await loadFirebase(config);
  });
}
