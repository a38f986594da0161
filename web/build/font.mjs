// Makes the fonts of the client (npm run font): the weights and letters of Figtree that it uses, in two files. Browsers
// load the second one only for a page with such letters, for example in a name. The result is in the repository, so
// that a build needs no tools for fonts. The license, which allows this, is served with the client.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import subsetFont from "subset-font";

const source = new URL("../node_modules/@fontsource-variable/figtree/", import.meta.url);
const range = (first, last) =>
  Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i)).join("");

/** The characters of each file. The lists must agree with unicode-range in src/view/style/fonts.css. */
const files = {
  latin: range(0x20, 0x7e) + range(0xa0, 0xff) + "ıŒœŸ–—‘’‚“”„•…‹›€™−←↑→↓\u2009\u202f",
  "latin-ext": range(0x100, 0x130) + range(0x132, 0x151) + range(0x154, 0x177) + range(0x179, 0x17f) + "ȘșȚțẞ",
};

for (const [name, characters] of Object.entries(files)) {
  const font = await subsetFont(readFileSync(new URL(`files/figtree-${name}-wght-normal.woff2`, source)), characters, {
    targetFormat: "woff2",
    variationAxes: { wght: { min: 400, max: 700 } },
  });
  writeFileSync(new URL(`../src/view/style/fonts/figtree-${name}.woff2`, import.meta.url), font);
  console.log(`${String(font.length).padStart(7)}  figtree-${name}.woff2`);
}
copyFileSync(new URL("LICENSE", source), new URL("../public/figtree-license.txt", import.meta.url));
