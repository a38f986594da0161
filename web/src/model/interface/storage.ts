/**
 * Where this device keeps messages: `durable`; `memory` (the browser denies storage, so unsent messages are lost when
 * the tab is closed); `overflow` (the disk is full: until there is room, what the user writes is only in memory and lost
 * when the tab is closed, and the server keeps what others write); `full` (the same, but the code for it could not be
 * loaded, so nothing new is accepted or shown).
 */
export type StorageState = "durable" | "memory" | "overflow" | "full";
