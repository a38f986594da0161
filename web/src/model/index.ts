/**
 * The model: everything the client knows and can do, without a screen.
 *
 * Views use this file and nothing below it. State arrives as {@link Readable}
 * values that follow Svelte's store contract (`$value` works) and need no
 * framework. Actions return promises that never reject for an expected
 * failure: they give an {@link Outcome} whose problem has a code, for which
 * the view has words.
 *
 * Times are milliseconds since the epoch unless a name says otherwise.
 */
export type { Readable, Unsubscribe } from "./observable";
export type {
  Accounts,
  App,
  Attention,
  Incoming,
  NewAccount,
  NotificationPermissionState,
  Session,
  SignedOutReason,
} from "./interface/app";
export type {
  Chat,
  ConnectionStatus,
  ConversationList,
  ConversationSummary,
  DirectorySearch,
  Me,
  PeopleList,
  Presence,
  ProfileChange,
  StorageState,
} from "./interface/chat";
export type { Outcome, Problem } from "./interface/outcome";
export type { Person } from "./interface/person";
export type { Conversation, Draft, Message, MessageState, Quote, Refusal, Timeline } from "./interface/conversation";
export type {
  Admin,
  AdminCalls,
  AdminConversation,
  AdminMessage,
  AdminUser,
  AuditEntry,
  DeadLetter,
  Figures,
  NewUser,
  Page,
  PeopleOrder,
  UserChange,
} from "./interface/admin";
export { createApp } from "./create";
