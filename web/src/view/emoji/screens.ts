// The emoji with their names, and the screens that offer them, loaded as one chunk when somebody looks for one.
export { default as Picker } from "./Picker.svelte";
export { default as Suggestions } from "./Suggestions.svelte";
