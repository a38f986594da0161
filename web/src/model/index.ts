/**
 * The model: everything that the client knows and can do, without a screen.
 *
 * Views use this file and nothing below it. State is available as {@link Readable} values that follow Svelte's store
 * contract (`$value` works) and need no framework. Actions return promises that do not reject for an expected failure.
 * They resolve to an {@link Outcome} whose problem has a code, and the view has texts for the codes.
 *
 * Times are milliseconds since the epoch unless a name says otherwise.
 */
export type { Readable, Unsubscribe } from "./observable";
export type {
  Accounts,
  App,
  Attention,
  Incoming,
  NoticeOptions,
  NotificationPermissionState,
  Session,
  SignedOutReason,
} from "./interface/app";
export type { Chat, ChatLimits, Me, Presence, ProfileChange } from "./interface/chat";
export type { ConnectionStatus } from "./interface/connection";
export type { ConversationList, ConversationSummary, DirectorySearch, UserList } from "./interface/lists";
export type { StorageState } from "./interface/storage";
export type { Outcome, Problem } from "./interface/outcome";
export type { User } from "./interface/user";
export type {
  Conversation,
  Draft,
  Message,
  MessageState,
  OwnChange,
  Quote,
  Refusal,
  Timeline,
} from "./interface/conversation";
export type {
  Admin,
  AdminCalls,
  AdminConversation,
  AdminMessage,
  AdminUser,
  AuditEntry,
  DeadLetter,
  Figures,
  ListedReport,
  NewUser,
  Page,
  ReportAct,
  ReportDetail,
  ReportedName,
  ReportState,
  UserOrder,
  UserChange,
} from "./interface/admin";
export { characterStart, cut } from "../protocol/text";
export { nothingVisible } from "../protocol/chat";
export { loadCode, Outdated } from "../platform/code";
export { createApp } from "./create";
