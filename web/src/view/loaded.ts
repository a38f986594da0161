import { text } from "../text";
import { notices } from "./notices.svelte";
import { updates } from "./offline/updates.svelte";

/**
 * Runs an `import()` for something that the user wants. Returns null, and says so, if the code could not be loaded. The
 * browser remembers that as long as the page lives, so the notice offers to load the page again.
 */
export async function loaded<T>(load: () => Promise<T>): Promise<T | null> {
  try {
    return await load();
  } catch {
    notices.say(text.common.failed, { label: text.common.retry, run: () => void updates.replace(true) });
    return null;
  }
}
