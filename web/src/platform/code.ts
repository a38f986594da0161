/** Loading of code that is not part of the first load. */
import { NetworkError } from "./platform";

/** Code of this page could not be loaded, although the server answers. After a deployment the server may lack it. */
export class Outdated extends Error {
  override readonly name = "Outdated";
}

/** How long the server may take to answer before the network counts as broken. */
const PATIENCE_MS = 10_000;

/**
 * Runs an `import()`. Rejects with NetworkError or with {@link Outdated}. Browsers remember a module that failed to
 * load, so trying again in the same page may not help even if the network was at fault.
 */
export async function loadCode<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw (await serverAnswers())
      ? new Outdated("code could not be loaded", { cause })
      : new NetworkError("code could not be loaded", { cause });
  }
}

async function serverAnswers(): Promise<boolean> {
  try {
    // The service worker answers "/" from its cache, but not this address.
    const page = await fetch("/index.html", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    return page.ok;
  } catch {
    return false;
  }
}
