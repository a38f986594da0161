// Fails the build when the JavaScript that the first page load needs (the
// entry, what it imports statically, and what index.html names) exceeds the
// limit of issue 7: 90 kB gzipped.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 90_000; // bytes after gzip -9, as a CDN or server would send them
const dist = new URL("../dist/", import.meta.url);

const manifest = JSON.parse(readFileSync(new URL("manifest.build.json", dist), "utf8"));
const needed = new Set();

/** @param {string} key */
function walk(key) {
  const chunk = manifest[key];
  if (!chunk || needed.has(chunk.file)) return;
  if (chunk.file.endsWith(".js")) needed.add(chunk.file);
  for (const next of chunk.imports ?? []) walk(next);
}
for (const [key, chunk] of Object.entries(manifest)) if (chunk.isEntry) walk(key);
for (const [, src] of readFileSync(new URL("index.html", dist), "utf8").matchAll(/(?:src|href)="\/?([^"]+\.js)"/g)) needed.add(src);

let total = 0;
for (const file of needed) {
  const size = gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
  total += size;
  console.log(`${String(size).padStart(7)}  ${file}`);
}
console.log(`${String(total).padStart(7)}  first-load JavaScript, gzipped (limit ${LIMIT})`);
if (needed.size === 0) {
  console.error("No entry chunk found in dist/manifest.build.json.");
  process.exit(1);
}
if (total > LIMIT) {
  console.error(`First-load JavaScript is ${total - LIMIT} bytes over the limit of ${LIMIT}. Load something later with import().`);
  process.exit(1);
}
