// Fails the build when the JavaScript that a first visit loads exceeds the limit of issue 7: 90 kB gzipped. Counted strictly: everything that the
// browser fetches as a script until the screen is usable, imports made while it runs included. The service worker's own script, which runs
// beside the page, is told and not counted; what it then keeps for later is not needed by any screen here. e2e/firstload.spec.ts
// holds the same limit against what a browser really fetches.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

// Bytes after gzip -9, as the server sends them.
const LIMIT = 90_000;
const LIMIT_CONNECTED = 115_000;

/**
 * The first screens, and the imports that each makes by itself beside what the page names. Whoever is signed in has been here before: they see and
 * use what this device has, while the sign-in library comes for the token that connects it.
 */
const SCREENS = {
  "signed out, until the form can be used and sent": {
    imports: ["src/view/entry/Entry.svelte", "src/net/firebase.ts"],
    limit: LIMIT,
  },
  "signed in, until the list and a conversation can be used": {
    imports: ["src/model/chat/open.ts", "src/view/shell/Shell.svelte"],
    limit: LIMIT,
  },
  "signed in, until it is connected": {
    imports: ["src/model/chat/open.ts", "src/view/shell/Shell.svelte", "src/net/firebase.ts"],
    limit: LIMIT_CONNECTED,
  },
};
/** Imports that wait until somebody goes to a place. One that stands neither here nor above fails the build: somebody must say which it is. */
const LATER = ["src/view/settings/Settings.svelte", "src/view/admin/Admin.svelte", "src/view/admin/Figures.svelte"];

const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.build.json", dist), "utf8"));
const faults = [];

const gzipped = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;

/** Adds a chunk and what it imports statically. */
function walk(key, needed) {
  const chunk = manifest[key];
  if (!chunk) {
    faults.push(`${key} is not in the build: correct the lists in build/firstload.mjs.`);
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

for (const [screen, { imports, limit }] of Object.entries(SCREENS)) {
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
      `First-load JavaScript, ${screen}, is ${total - limit} bytes over the limit of ${limit}. Load something later with import().`,
    );
}
console.log(`${String(gzipped("service-worker.js")).padStart(7)}  service-worker.js, beside the page\n`);

const told = new Set([...Object.values(SCREENS).flatMap(({ imports }) => imports), ...LATER]);
for (const key of Object.keys(manifest)) {
  if (manifest[key].isDynamicEntry && !told.has(key))
    faults.push(
      `${key} is imported while the client runs: say in build/firstload.mjs whether a first screen loads it.`,
    );
}
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
