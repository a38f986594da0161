// The screens of the search, loaded as one chunk when the user searches.
export { default as Results } from "./Results.svelte";
export { default as Starred } from "./Starred.svelte";
export { default as FindBar } from "./FindBar.svelte";
export { prepare } from "./searches";
