import { tick } from "svelte";
import type { VirtualizerHandle } from "virtua/svelte";
import type { Conversation, Message } from "../../model";
import { text } from "../../text";
import { nextFrame } from "../nextFrame";
import { notices } from "../notices.svelte";
import type { MessageFocus } from "./messageFocus.svelte";
import type { ScrollAnchor } from "./scrollAnchor";

/** How many frames the list may take to open, after which it does not go to the message. */
const MAX_FRAMES = 600;
/** Farther than this many messages, the list does not scroll there visibly. */
const NEAR = 60;
/** How long a message is marked, in ms. */
const FLASH_MS = 1700;

/** A list of messages, as far as a jump needs it. */
export interface JumpPlace {
  readonly conversation: Conversation;
  readonly anchor: ScrollAnchor;
  readonly focus: MessageFocus;
  readonly items: () => readonly Message[];
  /** Undefined until the list is open. */
  readonly list: () => VirtualizerHandle | undefined;
  /** The list does not stay at its end. */
  readonly leaveEnd: () => void;
  /** Marks a message, or ends the mark of the one that has it. */
  readonly flash: (key: string | null) => void;
  /** The message has the focus. */
  readonly arrived: () => void;
}

/** The number of jumps so far. */
let jumps = 0;

/**
 * Shows a message once the list is open, and loads it if need be. `focused`: it also receives the focus. A later jump
 * ends this one, also if its own message is loaded sooner.
 */
export async function jump(to: JumpPlace, key: string, focused: boolean): Promise<void> {
  const mine = ++jumps;
  for (let frames = 0; frames < MAX_FRAMES && !to.list(); frames++) await nextFrame();
  const list = to.list();
  if (!list || mine !== jumps) return;
  const find = (): number => to.items().findIndex((m) => m.key === key);
  let at = find();
  if (at < 0) {
    const revealed = await to.conversation.reveal(key);
    if (mine !== jumps) return;
    if (!revealed) {
      notices.say(text.conversation.quotedGone);
      return;
    }
    await tick();
    at = find();
    if (at < 0) return;
  }
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches && Math.abs(at - to.focus.index) < NEAR) {
    to.anchor.release();
    to.leaveEnd(); // otherwise a row that is measured on the way would scroll back to the end
    list.scrollToIndex(at, { align: "center", smooth: true });
  } else to.anchor.center(at);
  to.flash(key);
  if (focused) void to.focus.move(key).then(to.arrived);
  setTimeout(() => {
    if (mine === jumps) to.flash(null);
  }, FLASH_MS);
}
