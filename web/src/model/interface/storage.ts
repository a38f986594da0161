/**
 * Where this device keeps messages: `durable`; `memory` (the browser denies storage, so unsent messages are lost when
 * the tab is closed); `full` (nothing more can be stored, so new messages are not accepted until there is room).
 */
export type StorageState = "durable" | "memory" | "full";
