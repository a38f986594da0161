// The parts that find and show links and formatting, loaded as one chunk when a text may have some.
export { marked, segments } from "./markup";
export { default as Marked } from "./Marked.svelte";
export { default as Mirror } from "./Mirror.svelte";
