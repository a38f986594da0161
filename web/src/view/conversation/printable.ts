import type { Conversation } from "../../model";

/** The open conversation, which is printed. */
export const printable: { conversation: Conversation | null } = { conversation: null };
