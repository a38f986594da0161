/** Web Locks and BroadcastChannel. */
import type { Cancel, Channel, LockHandlers, Tabs } from "./platform";

export function browserTabs(): Tabs {
  return {
    supported: typeof navigator.locks !== "undefined" && typeof BroadcastChannel !== "undefined",
    channel(name, onMessage): Channel {
      if (typeof BroadcastChannel === "undefined") return { post: () => undefined, close: () => undefined };
      const channel = new BroadcastChannel(name);
      channel.onmessage = (event: MessageEvent<unknown>) => onMessage(event.data);
      return {
        post: (message) => channel.postMessage(message),
        close() {
          channel.onmessage = null;
          channel.close();
        },
      };
    },
    lock,
  };
}

function lock(name: string, steal: boolean, handlers: LockHandlers): Cancel {
  const waiting = new AbortController();
  let release: (() => void) | null = null;
  let ended = false;
  // The specification forbids `signal` together with `steal`.
  const options: LockOptions = steal ? { steal: true } : { signal: waiting.signal };
  navigator.locks
    .request(name, options, () => {
      if (ended) return undefined;
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      handlers.onHeld();
      return held;
    })
    .catch(() => {
      // Aborted by this tab (ended), or stolen by another one.
      if (ended) return;
      ended = true;
      handlers.onLost();
    });
  return () => {
    if (ended) return;
    ended = true;
    if (release) release();
    else waiting.abort();
  };
}
