import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  title: "Two-step verification",
  offMore: "With it, your password alone is not enough: each sign-in also needs a code from an authenticator app.",
  onMore: "Each sign-in needs your password and a code from your authenticator app.",
  unverified: "Confirm your email address first.",
  codesLeft: (n: number) => plural(n, { one: `${n} recovery code is left.`, other: `${n} recovery codes are left.` }),
  codesNone: "You have no recovery codes. Without one, you cannot sign in if you lose the app.",

  code: "Code",
  codeHint: "The 6 digits that your authenticator app shows now.",
  codeForm: "Enter the 6 digits that the app shows.",

  setUp: "Set up",
  setUpTitle: "Set up two-step verification",
  setUpLong:
    "You need an authenticator app, for example on your phone. All other devices are signed out; they keep your chats for the next sign-in.",
  goOn: "Go on",
  scan: "Scan this code with your authenticator app, or enter the key. The app then shows a code.",
  qr: "QR code for an authenticator app",
  key: "Key",
  openApp: "Open the app on this device",
  turnOn: "Turn on",
  turnedOn: "Two-step verification is on.",

  turnOff: "Turn off",
  turnOffTitle: "Turn off two-step verification?",
  turnOffLong: "Your password alone is then enough to sign in.",
  turnedOff: "Two-step verification is off.",

  codes: "New recovery codes",
  codesTitle: "Make new recovery codes?",
  codesLong: "The codes that you have now stop working.",
  codesDo: "Make new codes",
  yours: "Your recovery codes",
  yoursLong:
    "If you lose the app, one of these codes lets you in. Each works once. Keep them in a safe place outside this device: they are shown only now.",
  copy: "Copy",
  download: "Download",
  file: (codes: string, date: string) => `Phoenix Chat: recovery codes, made on ${date}\n\n${codes}\n`,
  saved: "I have saved them",

  nextTitle: "One more code",
  nextLong:
    "It is done. To stay signed in here, enter the next code that the app shows. Otherwise, you have to sign in within an hour.",

  stepTitle: "Enter the code",
  lost: "Use a recovery code instead",
  recoverTitle: "Use a recovery code",
  recoverLong:
    "This turns two-step verification off and signs you out everywhere. You can then sign in with your password, and set it up again.",
  recoveryCode: "Recovery code",
  recoveryHint: "One of the ten codes that you saved when you set it up.",
  recoveryMissing: "Enter one of your recovery codes.",
  recoverDo: "Use it and sign in",
  recovered: "Two-step verification is off. Set it up again in the settings.",
  backToCode: "Use the app instead",
  ask: "If you have no recovery code either, ask the operator of this chat.",

  admin: "The panel is open only to admins with two-step verification.",
  adminDo: "Set it up in the settings",

  /** The sentence for each problem code; see text.problems for the others. */
  problems: {
    code_wrong: "This code is wrong, or was used before. Wait for the next one and try again.",
    code_late: "This took too long. Close it and start again.",
    sign_in_again: "This took too long. Close it and start again.",
    factor_exists: "Two-step verification is on already. Reload the page.",
    email_unverified: "Confirm your email address first.",
    no_second_factor: "Two-step verification is off. You can sign in with your password.",
    recovery_code_wrong: "This is not one of your recovery codes, or it was used before.",
    too_many_tries: "There were too many attempts. Try again later.",
  },
} as const;

/** The texts of authenticator apps and recovery codes, loaded with them. The rules are those of en.ts. */
export const factorText = inLanguage("secondFactor", english);
