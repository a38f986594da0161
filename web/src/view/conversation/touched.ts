// What only a user who acts on a message needs: its menu, and the gestures of fingers. Loaded on demand.
export { default as MessageMenu } from "./MessageMenu.svelte";
export { follow } from "./gestures";
