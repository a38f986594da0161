import { mount, unmount } from "svelte";
import type { Chat } from "../../model";
import { readWarning } from "../../model/report";
import WarningDialog from "./WarningDialog.svelte";

/** Shows the warning that the user has not confirmed yet, once in this tab. Returns a function that ends that. */
export function showWarnings(chat: Chat): () => void {
  let seen = 0;
  let shown: Record<string, unknown> | null = null;
  let ended = false;
  const hide = (): void => {
    if (shown) void unmount(shown);
    shown = null;
  };
  const end = chat.me.subscribe(({ warned }) => {
    if (!warned) return hide(); // confirmed on another device
    void readWarning(chat.late).then((read) => {
      if (ended || shown || !read.ok || !read.value || read.value.at <= seen) return;
      seen = read.value.at;
      shown = mount(WarningDialog, { target: document.body, props: { chat, warning: read.value, onclose: hide } });
    });
  });
  return () => {
    ended = true;
    end();
    hide();
  };
}
