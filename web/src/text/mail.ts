import { text } from ".";
import { inLanguage } from "./language";

const english = {
  /** The page that the links of emails open. */
  opening: "Opening your link",
  signIn: text.start.signIn,
  chats: "Go to your chats",
  settings: "Go to the settings",
  hereAs: (email: string) => `You are signed in here as ${email}.`,

  verified: "Your address is confirmed",
  verifiedMore: (email: string) => `${email} is confirmed. You can now write to more new people each day.`,

  changeTitle: "Change your address?",
  changeMore: (email: string, before: string) =>
    before === ""
      ? `After the change, you sign in with ${email}.`
      : `After the change, you sign in with ${email}, not ${before}.`,
  changeEnds: "All devices of this account will be signed out. They keep its chats for the next sign-in.",
  changeDo: "Change it",
  changed: "Your address was changed",
  changedMore: (email: string) => `Sign in with ${email} from now on. The password is the same.`,

  recovered: "Your former address is back",
  recoveredMore: (email: string) =>
    `You sign in with ${email} again. If it was not you who changed the address, somebody else may know your password. Choose a new one.`,
  recoveredDo: "Send a link for a new password",

  failed: "This link does not work",
  /** The link may work. */
  unopened: "The link could not be opened",
  resetNew: "Request a new link",
  /** Why a link does not work, by its kind, if its code was used or has expired. */
  ended: {
    verify: "This link has been used or has expired. Sign in to see whether your address is confirmed.",
    /** For somebody who is signed in. */
    verifyHere: "This link has been used or has expired. You can have a new one sent.",
    change: "This link has been used or has expired. You can ask for a new one in the settings.",
    reset: "This link has been used or has expired. Request a new one.",
    recover: "This link has been used or has expired. If somebody else has changed your address, ask the operator.",
  },
  problems: {
    mail_missing: "There is no such email yet. Send it again.",
    link_damaged: "This address is not complete. Copy the whole link from the email, or open it there again.",
  },

  /** The line above the chats. */
  confirm: (email: string) => `Confirm your address: we sent an email to ${email}.`,
  again: "Send again",
  change: "Change",
  hide: "Not now",
  /** Where the chat runs on one machine, which delivers no email. */
  open: "Open the email",
  sent: (email: string) => `An email is on its way to ${email}.`,
  /** In place of the button. */
  wait: "You can send it again in a minute.",

  /** In the settings. */
  title: "Email",
  isConfirmed: "Confirmed",
  isNotConfirmed: "Not confirmed yet. Until then, you can write to fewer new people.",
  changeAddress: "Change your address",
  newAddress: "New address",
  changeHint:
    "We send a link to the new address. Once you confirm the change there, all devices are signed out, also this one, and you sign in with the new address.",
  changeSend: "Send the link",
  changeSame: "This is your address already.",
  changeSent: (email: string) => `Open the link that we sent to ${email}. Until then, your address stays as it is.`,
} as const;

/** The texts about emails with links, none of which is part of the first load. The rules are those of en.ts. */
export const mailText = inLanguage("mail", english);
