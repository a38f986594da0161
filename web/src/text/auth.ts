import { text } from ".";
import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");
const characters = (n: number): string => plural(n, { one: `${n} character`, other: `${n} characters` });

const english = {
  signIn: text.start.signIn,
  signInTitle: "Welcome back",
  signUp: text.start.signUp,
  signUpTitle: "Create an account",
  newHere: "New here?",
  /** The title for a visitor who followed the link of a user. */
  invited: (username: string) => `${username} invited you`,
  invitedMore: "Create an account to write to each other.",
  invitedSignIn: (username: string) => `Sign in to write to ${username}.`,
  haveAccount: "Already have an account?",
  name: "Name",
  nameHint: "Shown to others. You can change it later.",
  username: "Username",
  usernameMeans: (username: string) => `Your username will be ${username}.`,
  usernameHint: "How people find you. Lowercase letters, digits, dots, dashes.",
  email: "Email",
  emailHint: "Only for signing in. Not shown to others.",
  password: "Password",
  newPassword: "New password",
  showPassword: "Show password",
  hidePassword: "Hide password",
  forgot: "Forgot your password?",
  signingUp: "Creating your account",
  signingIn: "Signing in",

  rules: {
    length: (min: number) => `At least ${characters(min)}`,
    notName: "Not your name or email",
    notCommon: "Not one of the most common passwords",
    usernameForm: "3 to 30 of a–z, 0–9, dot, dash, underscore",
    met: "met",
    open: "not met yet",
  },
  errors: {
    nameMissing: "Enter the name that others will see.",
    nameLong: (max: number) => `At most ${characters(max)}.`,
    usernameMissing: "Choose a username.",
    usernameShort: "At least 3 characters.",
    usernameLong: "At most 30 characters.",
    usernameEnds: "Start and end with a letter or a digit.",
    usernameForm: "Only lowercase letters, digits, dots, dashes and underscores.",
    emailMissing: "Enter your email address.",
    emailForm: "This does not look like an email address.",
    emailLetters: "Before the @, use only the letters a to z, digits and signs. Letters such as ü do not work there.",
    passwordMissing: "Enter your password.",
    passwordNotYours: "This is not your password. Try again.",
    passwordWrong: "Wrong email or password. Check both and try again.",
    fix: (n: number) =>
      plural(n, { one: "Please check the highlighted field.", other: "Please check the highlighted fields." }),
  },

  /** The sentences for more problem codes; see en.problems. */
  problems: {
    wrong_password: "The email address or the password is wrong.",
    password_missing: "Enter your password.",
    password_common: "This password is too common. Choose another.",
    password_own_name: "This password is one of your names. Choose another.",
    password_short: "Use at least 8 characters.",
    password_long: "Use at most 200 characters.",
    password_repeated: "Use more than one different character.",
    password_weak: "This password is too easy to guess. Choose a longer one.",
    email_invalid: "This is not a valid email address.",
    email_letters: "Before the @, use only the letters a to z, digits and signs. Letters such as ü do not work there.",
    email_reserved: "This email address is reserved. Use another.",
    username_length: "Use 3 to 30 characters.",
    username_form: "Use only letters from a to z, digits, dots, dashes and underscores.",
    username_ends: "Start and end with a letter or a digit.",
    username_reserved: "This username is reserved. Choose another.",
    name_characters: "This name contains invisible characters that are not allowed.",
    name_invisible: "Enter a name that others can see.",
    name_long: "Use at most 50 characters.",
    name_badge: "Choose a name without check marks and shields. They could be mistaken for a badge.",
    name_reserved: "This name is reserved. Choose another.",
    code_needed: "Enter the code that your authenticator app shows.",
    sign_in_again: "Enter your password again to go on.",
    too_many: "There were too many attempts. Wait a few minutes and try again.",
    code_ended: "This link has been used or has expired. Request a new one.",
    unsent: "Messages that have not been sent yet would be lost.",
    username_taken: "This username is taken. Choose another.",
    email_taken: "This email address has an account. Sign in, or use another address.",
    too_many_signups: "Too many accounts were created from this network. Try again later.",
    signup_busy: "Somebody is signing up with this email address right now. Try again in a moment.",
    signup_lost: "Somebody else chose this email address or username at the same time. Try again.",
    too_many_renames: "The username can be changed twice in 30 days. Try again later.",
  },
  /** For a value that the server refused for a reason that this client does not know. */
  refused: {
    display_name: "This name cannot be used. Choose another.",
    username: "This username cannot be used. Choose another.",
    email: "This email address cannot be used. Check it, or use another.",
    password: "This password cannot be used. Choose at least 8 characters that are hard to guess.",
  },

  resetTitle: text.start.reset,
  resetHint: "Enter your email address. If it has an account here, you will receive a link to choose a new password.",
  resetSend: "Send the link",
  resetSent: "Check your inbox",
  resetSentMore: (email: string) =>
    `If ${email} has an account here, a message with a link is on its way. It may take a minute.`,
  resetAgain: "Use another address",
  resetChoose: "Choose a new password",
  resetSave: "Save and sign in",
  resetDone: "Your password has been changed. All other devices have been signed out.",
  backToSignIn: "Back to sign in",
  endedTitle: "You were signed out",
  /** Instead of the reason `ended`. */
  passwordChanged: (when: string) =>
    `Your password was changed on ${when}. Sign in again with the new one; the data in this browser is still here. If it was not you who changed it, follow “Forgot your password?”.`,
  /** Why the user is signed out; see SignedOutReason. */
  reasons: {
    none: "",
    ended:
      "Your sign-in has ended, for example because your password was changed. Sign in again; the data in this browser is still here. If it was not you who changed the password, choose a new one now.",
    "signed-out":
      "You were signed out here from another device. This browser has deleted what it had stored about your account.",
    disabled: "This account has been disabled. Ask the operator of this chat.",
    deleted: "This account no longer exists.",
    left: "Your account has been deleted. You can create a new one at any time.",
    replaced:
      "Another account has been signed in with this browser. Sign in to return to yours, or reload the page to continue with the other one.",
  },
} as const;

/** The texts of the forms for users who are not signed in, and of passwords elsewhere. The rules are those of en.ts. */
export const authText = inLanguage("auth", english);
