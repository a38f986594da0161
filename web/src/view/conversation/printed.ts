import { flushSync, mount, unmount } from "svelte";
import type { Chat } from "../../model";
import Printed from "./Printed.svelte";
import { printable } from "./printable";

/**
 * Prints the messages of the open conversation that are loaded, instead of the screen, on which most of them have no
 * element. Returns a function that ends it.
 */
export function printConversation(chat: Chat): () => void {
  let shown: Record<string, unknown> | null = null;
  const hide = (): void => {
    if (shown) void unmount(shown);
    shown = null;
  };
  const show = (): void => {
    const conversation = printable.conversation;
    if (shown || !conversation) return;
    const { user, timeline } = conversation;
    const props = { me: chat.me.get().displayName, user: user.get(), timeline: timeline.get() };
    shown = flushSync(() => mount(Printed, { target: document.body, props }));
  };
  const ended = new AbortController();
  addEventListener("beforeprint", show, { signal: ended.signal });
  addEventListener("afterprint", hide, { signal: ended.signal });
  matchMedia("print").addEventListener("change", (event) => (event.matches ? show() : hide()), {
    signal: ended.signal,
  });
  return () => {
    ended.abort();
    hide();
  };
}
