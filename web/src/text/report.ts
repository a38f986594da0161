import { inLanguage } from "./language";

const english = {
  /** In the menu of a message, and in the details of a person. */
  action: "Report",
  actionHint: "Tell the operators of this chat what is wrong.",
  title: (name: string) => `Report ${name}`,
  long: "The operators of this chat will read your report. The person is not told who has reported them.",
  reason: "What is wrong?",
  reasons: {
    spam: "Spam or advertising",
    abuse: "Insults or harassment",
    threat: "Threats or violence",
    sexual: "Unwanted sexual content",
    impersonation: "Pretends to be somebody else",
    other: "Something else",
  },
  reasonMissing: "Choose what is wrong.",
  comment: "Comment (optional)",
  commentLong: (most: string) => `Use at most ${most} characters.`,
  messages: "Messages to include",
  mine: "You",
  most: (n: number) => `At most ${n} messages can be included.`,
  block: (name: string) => `Also block ${name}`,
  send: "Report",
  sending: "Sending",
  done: (name: string) => `You have reported ${name}.`,
  doneBlocked: (name: string) => `You have reported and blocked ${name}.`,
  doneNotBlocked: (name: string) => `You have reported ${name}, but they could not be blocked. Try that again.`,
  /** The sentence for each problem code; see text.problems for the others. */
  problems: {
    body_too_large: "These messages are too long together. Include fewer of them.",
    user_not_found: "This account no longer exists.",
    id_reused: "This report could not be sent. Close it and write it again.",
    invalid_fields: "One of the messages cannot be reported. Choose others.",
    blocked_full: "You have blocked as many people as possible.",
  },

  warning: {
    title: "A warning from the operators",
    long: (reason: string) =>
      `People have reported you, and an operator of this chat has looked into it. The reason: ${reason}.`,
    ask: "Please write to others with respect. If this goes on, your account can be limited or disabled.",
    confirm: "I understand",
  },
} as const;

/** The texts of reports about people, and of warnings, loaded with them. The rules are those of en.ts. */
export const reportText = inLanguage("report", english);
