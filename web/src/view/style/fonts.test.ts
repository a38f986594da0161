import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";

const folder = new URL("./fonts/", import.meta.url);
const css = readFileSync(new URL("./fonts.css", import.meta.url), "utf8");
const faces = [...css.matchAll(/@font-face \{([^}]*)\}/gu)].map(([, face]) => face ?? "");

test("the files of the font have at most 30 kB", () => {
  const files = readdirSync(folder).map((name) => readFileSync(new URL(name, folder)));
  expect(files).toHaveLength(2);
  for (const file of files) expect(file.subarray(0, 4).toString("latin1")).toBe("wOF2");
  expect(files.reduce((sum, file) => sum + file.length, 0)).toBeLessThanOrEqual(30_000);
});

test("the license is served with the font, and allows changed copies", () => {
  const license = readFileSync(new URL("../../../public/figtree-license.txt", import.meta.url), "utf8");
  expect(license).toContain("SIL OPEN FONT LICENSE Version 1.1");
  expect(license.slice(0, license.indexOf("PREAMBLE"))).not.toContain("Reserved Font Name");
});

test("the fallbacks have the metrics of the font", () => {
  const fallbacks = faces.filter((face) => face.includes("local("));
  expect(fallbacks).toHaveLength(2);
  for (const face of fallbacks) {
    const percent = (name: string): number => Number(new RegExp(`${name}: ([\\d.]+)%`, "u").exec(face)?.[1]) / 100;
    const size = percent("size-adjust");
    expect(size * percent("ascent-override")).toBeCloseTo(0.95, 3);
    expect(size * percent("descent-override")).toBeCloseTo(0.25, 3);
    expect(percent("line-gap-override")).toBe(0);
  }
});

test("text that is shown never changes its font", () => {
  for (const face of faces.filter((each) => each.includes("url("))) expect(face).toContain("font-display: optional;");
});
