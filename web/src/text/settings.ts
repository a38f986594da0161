import { inLanguage } from "./language";
import { plurals } from "./plural";

const plural = plurals("en");

const english = {
  title: "Settings",
  profile: "Profile",
  name: "Name",
  nameHint: "Shown to others in lists and chats.",
  username: "Username",
  usernameMeans: (username: string) => `Your username will be ${username}.`,
  usernameHint: "How people find you.",
  usernameChange: "Others will find you by the new username. Addresses with the old one will stop working.",
  profileSaved: "Your profile has been changed.",
  pictureAdd: "Add a picture",
  pictureChange: "Change the picture",
  pictureRemove: "Remove the picture",
  pictureSaved: "Your picture has been changed.",
  pictureRemoved: "Your picture has been removed.",
  pictureCrop: "Choose the part to show",
  pictureMove: "Picture. Move it with the arrow keys.",
  pictureZoom: "Zoom",
  pictureUse: "Use this picture",
  pictureProblems: {
    picture_type: "This kind of file cannot be used. Choose a photo or a picture.",
    picture_too_large: "This picture is too large. Choose a smaller one.",
    picture_side: "This picture could not be cropped. Choose another one.",
    picture_animated: "Choose a picture that does not move.",
    picture_invalid: "This picture cannot be read. Choose another one.",
  },

  appearance: "Appearance",
  themeLabel: "Theme",
  themeSystem: "System",
  themeLight: "Light",
  themeDark: "Dark",

  notifications: "Notifications",
  notifyOn: "This browser notifies you about new messages, also while the chat is closed.",
  notifyOpenOnly: "This browser notifies you about new messages while the page is open, but hidden.",
  notifyNoPush: "It cannot notify you while the chat is closed.",
  notifyPushFailed:
    "Notifications while the chat is closed could not be turned on. Check your connection and try again.",
  notifyText: "Show what a message says",
  notifyTextHint: "Without this, notifications that arrive while the chat is closed only tell who has written.",
  sound: "Sound",
  sounds: { system: "That of the system", chime: "Chime", drop: "Drop", knock: "Knock", none: "None" },
  soundHint: "While the chat is closed, you hear the sound of the system.",
  still: "Do not disturb",
  stillHour: "For 1 hour",
  stillUntil: (time: string) => `Until ${time}`,
  stillEnd: "End",
  daily: "Quiet hours",
  dailyFrom: "From",
  dailyTo: "to",
  dailyHint:
    "This browser does not notify you at these hours, in its own time zone, or while you do not want to be disturbed. Messages arrive all the same.",
  notifyTest: "Send a test notification",
  notifyTestSent: "A test notification is on its way.",
  notifyTestFailed: "The test could not be sent. Try again later.",
  notifyProved: "A test notification has reached this browser.",
  notifyOff: "This browser does not notify you about new messages.",
  notifyDenied: "Notifications are blocked for this page. Allow them in the browser’s settings for this address.",
  notifyUnsupported: "This browser cannot show notifications.",
  notifyTurnOn: "Turn on",
  notifyTurnOff: "Turn off",

  privacy: "Privacy",
  seenBy: "Who sees when you are online",
  seenByOf: { everyone: "Everyone", chats: "People you have answered", nobody: "Nobody" },
  seenByHint: "People who write to you first do not see it until you answer or accept, whatever you choose here.",
  writers: "Who may write to you",
  writersOf: { everyone: "Everyone", known: "People you have written to" },
  foundBy: "Who finds you in the search",
  foundByOf: { everyone: "Everyone", username: "Those who know your username" },
  readReceipts: "Show others what you have read",
  readReceiptsHint: "Without this, you do not see what others have read either.",

  blocked: "Blocked people",
  blockedNone: "You have not blocked anybody.",
  unblock: "Unblock",
  unblockName: (name: string) => `Unblock ${name}`,

  data: "Your data",
  export: "Download your data",
  exportHint: "Your profile, chats and messages as one JSON file.",
  exporting: "Collecting your data",
  exportFailed: "Your data could not be collected. Try again in a minute.",

  devices: "Where you are signed in",
  deviceName: (browser: string, system: string) =>
    browser !== "" && system !== "" ? `${browser} on ${system}` : browser || system || "Unknown device",
  deviceHere: "This browser",
  deviceSince: (when: string) => `Signed in ${when}`,
  deviceUsed: (when: string) => `last used ${when}`,
  deviceSignOutName: (name: string, since: string) => `Sign out ${name}, signed in ${since}`,
  deviceSignedOut: (name: string) => `${name} has been signed out.`,
  newDevice: (name: string) => `Signed in on ${name}. Was that you?`,
  newDeviceYes: "Yes",
  newDeviceList: "See your devices",
  devicesHint:
    "A device that you sign out deletes your chats as soon as it is online. If a device was stolen, sign out everywhere else, or choose a new password.",
  elsewhere: "Sign out everywhere else",
  elsewhereTitle: "Sign out everywhere else?",
  elsewhereHint:
    "All other devices are signed out and delete your chats, with messages that have not been sent. You stay signed in here.",
  elsewhereDo: "Sign out the others",
  elsewhereDone: "All other devices have been signed out.",

  passwordHint: "Choose another one if somebody else may know it.",
  passwordChange: "Change your password",
  passwordTitle: "Change your password",
  passwordLong: "You stay signed in here. All other devices are signed out; they keep your chats for the next sign-in.",
  passwordCurrent: "Current password",
  passwordDo: "Change it",

  session: "This browser",
  signOut: "Sign out",
  signOutHint: "Removes everything that this browser stores about your account.",
  signOutUnsent: (n: number) =>
    plural(n, {
      one: `${n} message has not been sent yet. Signing out now deletes it.`,
      other: `${n} messages have not been sent yet. Signing out now deletes them.`,
    }),
  signOutAnyway: "Sign out and delete them",
  stay: "Stay signed in",

  leave: "Delete your account",
  leaveHint:
    "Your profile and everything you wrote are deleted, also for the people you wrote to. What they wrote to you stays with them. This cannot be undone.",
  leaveDo: "Delete my account",
  leaveTitle: "Delete your account for good?",
  leaveConfirm: (username: string) => `Type ${username} to continue`,
  leaveMismatch: (username: string) => `Type ${username} exactly as shown.`,
  leaving: "Deleting your account",
  admin: "Admin panel",
} as const;

/** The texts of the settings, loaded with them. The rules are those of en.ts. */
export const settingsText = inLanguage("settings", english);
