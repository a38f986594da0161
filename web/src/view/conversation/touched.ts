// What is not needed until the user acts, or is asked: the menu of a message, the gestures of fingers, the edge of the
// list, and the offer of notifications. Loaded on demand, as one chunk: with a chunk for each, the bundler would also
// split the code of the first load.
export { default as MessageMenu } from "./MessageMenu.svelte";
export { follow } from "./gestures";
export { default as AskLine } from "../notifications/AskLine.svelte";
export { default as SideEdge } from "../shell/SideEdge.svelte";
