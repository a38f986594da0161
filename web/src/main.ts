import { mount } from "svelte";
import { createApp } from "./model";
import { text } from "./text";
import App from "./view/App.svelte";
import { updates } from "./view/offline/updates.svelte";
import "./view/style/tokens.css";
import "./view/style/base.css";
import "./view/style/controls.css";
import "./view/theme.svelte";

// The only place that builds anything: the model on the browser's platform,
// the view on the model. See realtime/DESIGN.md for the protocol and the rules of a client.
const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

document.documentElement.lang = text.language;
const app = createApp();
mount(App, { target, props: { app } });
void app.start();
void updates.watch();
