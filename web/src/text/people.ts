import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  title: "People",
  search: "Search by name or username",
  label: "People",
  found: (n: number) => (n === 0 ? "Nobody found" : plural(n, { one: `${n} person`, other: `${n} people` })),
  none: (query: string) => `Nobody here is called “${query}”.`,
  share: "Choose who receives what you shared.",
  alone: "You are the first one here.",
  invite: "Invite someone",
  inviteMore: "Whoever opens this link can sign up and write to you.",
  inviteCode: "QR code of your link",
  inviteCopy: "Copy the link",
  inviteSend: "Share the link",
  inviteShare: (name: string) => `${name} invites you to chat`,
  inviteFailed: "This browser could not share the link. Copy it instead.",
  more: "Show more",
} as const;

/** The texts of the people list, loaded with it. The rules are those of en.ts. */
export const peopleText = inLanguage("people", english);
