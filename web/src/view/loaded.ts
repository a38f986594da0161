import { text } from "../text";
import { notices } from "./notices.svelte";

/** Runs an `import()` for something that the user wants. Returns null, and says so, if the code could not be loaded. */
export async function loaded<T>(load: () => Promise<T>): Promise<T | null> {
  try {
    return await load();
  } catch {
    notices.say(text.common.failed);
    return null;
  }
}
