import { mount } from "svelte";
import { createApp } from "./model";
import { loadLanguage, text } from "./text";
import App from "./view/App.svelte";
import { updates } from "./view/offline/updates.svelte";
import "./view/style/fonts.css";
import "./view/style/tokens.css";
import "./view/style/base.css";
import "./view/style/controls.css";
import "./view/theme.svelte";

// The entry file, and the only one that constructs objects: the model on the browser's platform, and the view on the
// model. README.md is a tour of the client. realtime/DESIGN.md describes the protocol and the rules for clients.
const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

const app = createApp();
void app.start();
void updates.watch();
void loadLanguage(navigator.languages).then(() => {
  document.documentElement.lang = text.language;
  mount(App, { target, props: { app } });
});
