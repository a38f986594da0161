import { afterEach, expect, test } from "vitest";
import { text } from ".";
import { en } from "./en";
import { inLanguage, loadLanguage } from "./language";

const german = { text: { ...en, language: "de", app: "Phönix" }, settings: { title: "Einstellungen" } };
const languages = { de: () => Promise.resolve(german), pl: () => Promise.reject(new Error("offline")) };
const settings = (): string => inLanguage("settings", { title: "Settings" }).title;

afterEach(() => loadLanguage([]));

test.each([
  { preferred: ["de-AT", "en"], app: "Phönix", title: "Einstellungen" },
  { preferred: ["ja", "DE"], app: "Phönix", title: "Einstellungen" },
  { preferred: ["en-GB", "de"], app: en.app, title: "Settings" },
  { preferred: ["pl"], app: en.app, title: "Settings" }, // it cannot be loaded
  { preferred: ["toString", "ja"], app: en.app, title: "Settings" },
  { preferred: [], app: en.app, title: "Settings" },
])("the preferred languages $preferred have the texts of $app", async ({ preferred, app, title }) => {
  await loadLanguage(preferred, languages);
  expect(text.app).toBe(app);
  expect(settings()).toBe(title);
});
