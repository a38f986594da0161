/** A choice that a user can make about a conversation, or about a message of it. Nobody else sees it. */
export type OwnChoice =
  /** Above the others in the list. */
  | { readonly kind: "pin"; readonly on: boolean }
  /** No notifications until then, in ms by the server's clock. Infinity: always. 0: notifications again. */
  | { readonly kind: "mute"; readonly until: number }
  /** See ConversationList.archived. */
  | { readonly kind: "archive"; readonly on: boolean }
  /** Marks it as unread, until it is opened. Off: everything in it counts as read. */
  | { readonly kind: "unread"; readonly on: boolean }
  /** Accepts a request, for good; see ConversationList.requests. */
  | { readonly kind: "accept"; readonly on: true }
  /** Removes a request with all its messages so far. */
  | { readonly kind: "remove"; readonly on: boolean }
  | { readonly kind: "star"; readonly key: string; readonly on: boolean };
