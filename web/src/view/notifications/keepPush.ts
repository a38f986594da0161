import { type Attention, type Chat, loadCode } from "../../model";
import { notify } from "./choice.svelte";

/**
 * Registers this browser for pushes once notifications are allowed and the page is connected, since the service worker
 * notifies while no page is open. Returns a function that ends that.
 */
export function keepPush(chat: Chat, { permission }: Attention): () => void {
  const check = (): void => {
    if (permission.get() !== "granted" || !notify.wanted || chat.connection.get().state !== "online") return;
    void loadCode(() => import("./push")).then(
      ({ pushOf }) => pushOf(chat).turnOn(false),
      () => undefined, // the next time, the code may be loaded
    );
  };
  const ends = [permission.subscribe(check), chat.connection.subscribe(check)];
  return () => {
    for (const end of ends) end();
  };
}
