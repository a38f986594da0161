import { inLanguage } from "./language";

const english = {
  promise: "What you send arrives.",
  promiseMore: "Even through a tunnel, a flat battery or a bad day of the network.",
  exampleOne: "Are you on the train?",
  exampleTwo: "In the tunnel. No signal, but I can write anyway.",
  exampleThree: "It just came through. See you at eight.",
  exampleLabel: "Example of a chat",
} as const;

/** The texts beside the forms for users who are not signed in, loaded with them. The rules are those of en.ts. */
export const welcomeText = inLanguage("welcome", english);
