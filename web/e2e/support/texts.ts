/** All texts that users see. */
import { authText } from "../../src/text/auth";
import { en as texts } from "../../src/text/en";
import { laterText } from "../../src/text/later";
import { mailText } from "../../src/text/mail";
import { peopleText } from "../../src/text/people";
import { settingsText } from "../../src/text/settings";

export const en = {
  ...texts,
  nav: { ...texts.nav, ...laterText.nav },
  common: { ...texts.common, ...laterText.common },
  conversation: { ...texts.conversation, ...laterText.conversation },
  auth: authText,
  mail: mailText,
  people: peopleText,
  settings: settingsText,
};
