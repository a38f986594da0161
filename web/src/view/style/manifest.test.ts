import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "../places";
import { readTheme } from "../testing/color";

interface Picture {
  readonly src: string;
  readonly sizes: string;
  readonly type: string;
}
interface Manifest {
  readonly icons: readonly Picture[];
  readonly screenshots: readonly (Picture & { readonly form_factor: string; readonly label: string })[];
  readonly shortcuts: readonly { readonly name: string; readonly url: string; readonly icons: readonly Picture[] }[];
  readonly share_target: { readonly action: string; readonly method: string };
  readonly background_color: string;
  readonly theme_color: string;
}

const publicFile = (name: string): Buffer => readFileSync(new URL(`../../../public/${name}`, import.meta.url));
const read = (name: string): Manifest => JSON.parse(publicFile(name).toString("utf8")) as Manifest;
const light = read("manifest.webmanifest");
const dark = read("manifest-dark.webmanifest");
const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

test("the splash screen has the color of the page in both themes, and nothing else differs", () => {
  for (const [theme, manifest] of [
    ["light", light],
    ["dark", dark],
  ] as const) {
    const paper = readTheme(css, theme).get("paper")?.split(" ")[0];
    expect([manifest.background_color, manifest.theme_color]).toEqual([paper, paper]);
  }
  const { background_color, theme_color } = light;
  expect({ ...dark, background_color, theme_color }).toEqual(light);
});

test("every picture of the manifest is there in the size that it names", () => {
  const pictures = [...light.icons, ...light.screenshots, ...light.shortcuts.flatMap(({ icons }) => icons)];
  for (const { src, sizes, type } of pictures) {
    const file = publicFile(src.slice(1));
    if (type !== "image/png") continue;
    expect(file.subarray(1, 4).toString("latin1"), src).toBe("PNG");
    expect(`${file.readUInt32BE(16)}x${file.readUInt32BE(20)}`, src).toBe(sizes);
  }
});

test("the page of the installation shows the client on a phone and on a desktop", () => {
  expect(new Set(light.screenshots.map((s) => s.form_factor))).toEqual(new Set(["narrow", "wide"]));
  for (const { label } of light.screenshots) expect(label).not.toBe("");
});

test("shortcuts and the share target open places of the client", () => {
  for (const { url, icons } of light.shortcuts) {
    expect(parse(url).name).not.toBe("nowhere");
    expect(icons.length).toBeGreaterThan(0);
  }
  expect(light.share_target).toMatchObject({ action: "/people", method: "GET" });
});
