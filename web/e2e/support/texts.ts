/** All texts that users see. */
import { authText } from "../../src/text/auth";
import { en as texts } from "../../src/text/en";
import { laterText } from "../../src/text/later";
import { peopleText } from "../../src/text/people";
import { settingsText } from "../../src/text/settings";

export const en = {
  ...texts,
  nav: { ...texts.nav, ...laterText.nav },
  common: { ...texts.common, ...laterText.common },
  conversation: { ...texts.conversation, ...laterText.conversation },
  auth: authText,
  people: peopleText,
  settings: settingsText,
};
