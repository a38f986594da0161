// The parts that the first screen does not need: the menus of chats and messages, the changes of a message, gestures,
// formatting by keys, the button that jumps to the end, the edge of the list, the offer of notifications, pictures of
// people, keys, copying and printing, and what is shown in place of a conversation or of its field. They are loaded on
// demand, as one chunk. With a chunk for each, the bundler would also split the code of the first load.
export { default as MessageLayers } from "./MessageLayers.svelte";
export { default as RowMenu } from "../chats/RowMenu.svelte";
export { Choosing } from "../chats/choosing";
export { RowMenus } from "../chats/rowMenus.svelte";
export { default as Closed } from "./Closed.svelte";
export { default as Nobody } from "./Nobody.svelte";
export { heldReason } from "../../text/held";
export { default as ReportDialog } from "../report/ReportDialog.svelte";
export { default as Refused } from "./Refused.svelte";
export { default as Reverted } from "./Reverted.svelte";
export { Changing } from "./changing";
export { spokenChanges } from "./spokenChanges";
export { follow } from "./gestures";
export { default as Earlier } from "./Earlier.svelte";
export { jump } from "./jump";
export { wrapped } from "./wrap";
export { default as JumpButton } from "./JumpButton.svelte";
export { default as AskLine } from "../notifications/AskLine.svelte";
export { default as SideEdge } from "../shell/SideEdge.svelte";
export { default as Picture } from "../parts/Picture.svelte";
export { shortcut } from "../shell/shortcuts";
export { focusPlace } from "../focus";
export { attend } from "../shell/attend";
