// Fails the build when the JavaScript of a first visit exceeds the limits below, compressed. The count is strict: it
// contains everything that the browser fetches as a script until the screen is usable, including imports made at run
// time. The service worker's own script runs beside the page, so it is printed and not counted. No screen listed here
// needs what the worker caches for later. e2e/firstload.spec.ts checks the same limit against the requests of a
// browser.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const signedIn = ["src/model/chat/open.ts", "src/view/shell/Shell.svelte"];

/**
 * The first screens, with a limit in bytes after gzip -9, as the server sends them, and the modules that each of them
 * imports at run time, beside those that the page names.
 */
const SCREENS = {
  "signed out, until the form can be used and sent": {
    limit: 90_000,
    imports: ["src/view/auth/Auth.svelte", "src/net/passwordForms.ts"],
  },
  "signed in, until it is connected": { limit: 90_000, imports: signedIn },
  "with an open conversation": { limit: 104_000, imports: [...signedIn, "src/view/conversation/Conversation.svelte"] },
};
/**
 * Modules that are imported only when somebody opens the screen that needs them. A module that is imported at run time
 * and is in neither list fails the build, so that every such import is a decision.
 */
const LATER = [
  "src/view/people/People.svelte",
  "src/view/search/screens.ts", // when the user searches, or focuses the field above the chats
  "src/view/emoji/screens.ts", // when the user opens the picker of emoji, or types a colon and two letters
  "src/view/forward/Forward.svelte", // with the first message that is forwarded
  "src/view/conversation/Details.svelte",
  "src/view/conversation/formatting.ts", // when a message may contain a link or formatting
  "src/view/settings/Settings.svelte",
  "src/view/notifications/push.ts", // once notifications are allowed and the page is connected
  "src/model/session/passwordChange.ts", // on the sign-in page after a sign-in has ended
  "src/view/settings/Lines.svelte", // after a sign-in on another device, or until the address is verified
  "src/view/conversation/touched.ts", // when the user does more than type, has scrolled up, or sees somebody with a picture; on touch screens after a conversation is open
  "src/view/auth/Reset.svelte", // with a forgotten password
  "src/view/auth/CodeStep.svelte", // after the password of an account with a second factor
  "src/net/secondFactor.ts", // when the user sets up an authenticator app
  "src/view/auth/Mail.svelte", // with the link of an email
  "src/view/admin/Admin.svelte",
  "src/view/admin/Figures.svelte",
  "src/model/admin/calls.ts", // with the first call of the admin panel
  "../functions/password/common.txt?raw", // when somebody types a new password
  "src/model/engine/settings.ts", // after each gap, and with the first choice about a chat or a message
  "src/model/store/changes.ts", // with the first edit, deletion or reaction
  "src/protocol/emoji.ts", // with the first own reaction
  "src/platform/memory.ts", // in browsers that deny storage
  "src/platform/overlay.ts", // on full disks
];

/** The limit of what the service worker loads when a push arrives, in bytes. */
const WORKER = 30_000;

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.build.json", dist), "utf8"));
const faults = [];

const gzipped = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;

/** Adds a chunk and the chunks that it imports statically. */
function walk(key, needed) {
  const chunk = manifest[key];
  if (!chunk) {
    faults.push(`${key} is not in the build: update the lists in build/firstload.mjs.`);
    return;
  }
  if (needed.has(chunk.file)) return;
  if (chunk.file.endsWith(".js")) needed.add(chunk.file);
  for (const next of chunk.imports ?? []) walk(next, needed);
}

const entries = Object.keys(manifest).filter((key) => manifest[key].isEntry);
if (entries.length === 0) faults.push("No entry chunk found in dist/manifest.build.json.");
const named = [...readFileSync(new URL("index.html", dist), "utf8").matchAll(/(?:src|href)="\/?([^"]+\.js)"/g)].map(
  ([, src]) => src,
);

for (const [screen, { limit, imports }] of Object.entries(SCREENS)) {
  const needed = new Set(named);
  for (const key of [...entries, ...imports]) walk(key, needed);
  let total = 0;
  for (const file of needed) {
    const size = gzipped(file);
    total += size;
    console.log(`${String(size).padStart(7)}  ${file}`);
  }
  console.log(`${String(total).padStart(7)}  ${screen} (limit ${limit})\n`);
  if (total > limit)
    faults.push(
      `First-load JavaScript, ${screen}, is ${total - limit} bytes above the limit of ${limit}. Load some of it later with import().`,
    );
}
console.log(`${String(gzipped("service-worker.js")).padStart(7)}  service-worker.js, beside the page\n`);
for (const file of readdirSync(new URL("assets/", dist)).filter((name) => /^push-[0-9a-f]{8}\.js$/.test(name))) {
  const size = gzipped(`assets/${file}`);
  console.log(
    `${String(size).padStart(7)}  ${file}, which the service worker loads when a push arrives (limit ${WORKER})\n`,
  );
  if (size > WORKER) faults.push(`${file} is ${size - WORKER} bytes above its limit.`);
}

const listed = new Set([...Object.values(SCREENS).flatMap(({ imports }) => imports), ...LATER]);
for (const key of Object.keys(manifest)) {
  if (manifest[key].isDynamicEntry && !listed.has(key))
    faults.push(`${key} is imported while the client runs: add it to one of the lists in build/firstload.mjs.`);
}
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
