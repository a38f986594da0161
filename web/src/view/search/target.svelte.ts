/** The message that a search has found and that the conversation with `uid` is to show. The key is empty afterwards. */
export const target: { uid: string; key: string } = $state({ uid: "", key: "" });
