/** The keys that work everywhere in the chat. */
import { tick } from "svelte";
import type { Chat } from "../../model";
import { nextFrame } from "../nextFrame";
import { chatWith } from "../places";
import { router } from "../router.svelte";

/** How many frames the search may take to appear. Its code may have to be loaded. */
const MAX_FRAMES = 300;

/**
 * Handles a key that nothing else has used: Ctrl+K goes to the search above the chats, Alt with an arrow opens the next chat of the
 * list or the one before, and Escape goes from the list to the conversation, or from the conversation to the list.
 * `showChats` shows the chats beside the conversation; null if there is no room.
 */
export function shortcut(event: KeyboardEvent, chat: Chat, showChats: (() => void) | null): void {
  if (event.isComposing || event.shiftKey || router.place.name === "admin") return;
  if (document.querySelector("dialog[open], :popover-open")) return;
  const { key, altKey } = event;
  const control = event.ctrlKey || event.metaKey;
  if (control && !altKey && key.toLowerCase() === "k") void search(showChats);
  else if (event.defaultPrevented || control) return;
  else if (altKey && (key === "ArrowUp" || key === "ArrowDown")) {
    event.preventDefault();
    void openBeside(chat, key === "ArrowUp" ? -1 : 1);
  } else if (!altKey && key === "Escape" && router.place.name === "chat") leave(event);
}

async function search(showChats: (() => void) | null): Promise<void> {
  if (showChats && (router.place.name === "chat" || router.place.name === "settings")) showChats();
  else router.go({ name: "chats" });
  await tick();
  for (let frames = 0; frames < MAX_FRAMES; frames++) {
    const field = document.querySelector<HTMLInputElement>("#side [type='search']");
    if (field) {
      field.focus();
      return field.select();
    }
    await nextFrame();
  }
}

async function openBeside(chat: Chat, by: number): Promise<void> {
  const { place } = router;
  const { items } = chat.conversations.get();
  const at =
    place.name === "chat"
      ? items.findIndex(({ user }) => place.person === user.username || place.person === `~${user.uid}`)
      : -1;
  const next = items[at < 0 ? 0 : at + by];
  if (!next) return;
  router.go(chatWith(next.user));
  await tick();
  document.querySelector("#side [role='list'] [aria-current='page']")?.scrollIntoView({ block: "nearest" });
}

function leave(event: KeyboardEvent): void {
  const field = document.querySelector<HTMLElement>("#main [data-field]");
  const inside = event.target instanceof Element && event.target.closest("#side") !== null;
  if (inside && field) field.focus();
  else router.go({ name: "chats" });
}
