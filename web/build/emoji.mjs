// Makes the list of emoji with their English names (npm run emoji) from emojibase-data, in the order of Unicode. It has
// exactly the emoji of src/protocol/emoji.json, which the server accepts too, without variants of skin tone. The result
// is in the repository, so that a build needs no other data, and is served from the origin of the client.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";

const source = new URL("../node_modules/emojibase-data/", import.meta.url);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const from = (path) => read(new URL(path, source));

const table = new Set(read(new URL("../src/protocol/emoji.json", import.meta.url)).emoji.split(" "));
const { groups } = from("en/messages.json");
/** The names that people type between colons; the first ones are the most common. */
const codes = ["github", "emojibase"].map((name) => from(`en/shortcodes/${name}.json`));
const TONES = ["🏻", "🏼", "🏽", "🏾", "🏿"];

/** The form of the table: the data has a variation selector where Unicode has none. */
const qualified = (emoji) => (table.has(emoji) ? emoji : emoji.replaceAll("\ufe0f", ""));
/** Must agree with toned() in src/model/emoji/emojis.ts. */
const toned = (emoji, tone) =>
  emoji.replace(/\p{Emoji_Modifier_Base}\ufe0f?/gu, (base) => base.replace("\ufe0f", "") + tone);

const byGroup = new Map(groups.map(({ key, order }) => [order, { key, emoji: [] }]));
const data = from("en/data.json").sort((a, b) => (a.order ?? 0) - (b.order ?? 0));
for (const { emoji, hexcode, label, tags = [], group } of data) {
  const sign = qualified(emoji);
  if (!table.has(sign)) continue; // letters of flags, and tones alone
  const names = [...new Set(codes.flatMap((list) => list[hexcode] ?? []))];
  const known = new Set([
    ...names,
    ...names.flatMap((name) => name.split("_")),
    ...label.toLowerCase().split(/[^\p{L}\p{N}]+/u),
  ]);
  const more = tags.filter((tag) => !known.has(tag));
  const tones = TONES.every((tone) => toned(sign, tone) !== sign && table.has(toned(sign, tone)));
  byGroup.get(group).emoji.push([sign, tones ? "+" : "", names.join(" "), label, more.join(" ")].join("|"));
}

const { version } = from("package.json");
const list = {
  source: `emojibase-data ${version}`,
  groups: [...byGroup.values()].filter(({ emoji }) => emoji.length > 0),
};
writeFileSync(new URL("../src/model/emoji/names.json", import.meta.url), `${JSON.stringify(list, null, 2)}\n`);
copyFileSync(new URL("LICENSE", source), new URL("../public/emojibase-license.txt", import.meta.url));
for (const { key, emoji } of list.groups) console.log(`${String(emoji.length).padStart(5)}  ${key}`);
