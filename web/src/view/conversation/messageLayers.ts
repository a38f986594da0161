import type { Component } from "svelte";
import type { Conversation, Message } from "../../model";
import type * as Emoji from "../emoji/screens";
import type { Beside } from "../parts/beside";
import type { BubbleActions } from "./bubbleActions";
import type { Changing } from "./changing";

/** The dialog that forwards a message. */
export type ForwardDialog = Component<{ conversation: Conversation; message: Message; onclose: () => void }>;

/** The layers that are open. MessageActions implements it; MessageLayers.svelte cannot import that class. */
export interface MessageLayersState extends BubbleActions {
  readonly menus: { shown: { readonly message: Message; readonly beside: Beside } | null };
  readonly changing: Changing | undefined;
  edited: Message | null;
  forwarded: { readonly message: Message; readonly Forward: ForwardDialog } | null;
  reacting: Message | null;
  readonly emoji: { readonly code: typeof Emoji | undefined; picking: Beside | null };
}
