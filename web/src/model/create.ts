import type { App } from "./interface/app";

/** Builds the model on the browser's own platform. Nothing happens until {@link App.start}. */
export function createApp(): App {
  throw new Error("the model is not built yet");
}
