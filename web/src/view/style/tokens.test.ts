import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { TONES, hues } from "../parts/avatar";
import { type Linear, atHue, contrast, fromHex, readTheme } from "../testing/color";

// Checks each theme, which is one block of tokens.css, against WCAG 2.2 AA, and its stronger contrast against AAA.

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");
const stronger = /@media \(prefers-contrast: more\) \{.*?\n\}/su.exec(css)?.[0] ?? "";

describe.each([
  { name: "light", contrastOf: { text: 4.5, control: 3 } },
  { name: "dark", contrastOf: { text: 4.5, control: 3 } },
  { name: "light", more: true, contrastOf: { text: 7, control: 4.5 } },
  { name: "dark", more: true, contrastOf: { text: 7, control: 4.5 } },
])("the $name theme, with more contrast: $more", ({ name, more = false, contrastOf }) => {
  const tokens = new Map([...readTheme(css, name), ...(more ? readTheme(stronger, name) : [])]);
  const color = (key: string): Linear => fromHex(tokens.get(key) ?? "");
  const surfaces = ["paper", "pane", "raised", "hover", "ground", "theirs", "own"];

  test.each(["ink", "ink-2", "ember-text", "red", "green", "amber"])(
    "text in %s has enough contrast on every surface",
    (ink) => {
      for (const surface of surfaces)
        expect(contrast(color(ink), color(surface)), surface).toBeGreaterThanOrEqual(contrastOf.text);
    },
  );

  test("text on the primary button has enough contrast, pressed or not", () => {
    expect(contrast(color("on-ember"), color("ember"))).toBeGreaterThanOrEqual(contrastOf.text);
    expect(contrast(color("on-ember"), color("ember-press"))).toBeGreaterThanOrEqual(contrastOf.text);
  });

  test.each(["edge", "ember"])("controls in %s have enough contrast", (line) => {
    for (const surface of ["paper", "pane", "raised", "hover", "theirs"])
      expect(contrast(color(line), color(surface)), surface).toBeGreaterThanOrEqual(contrastOf.control);
  });

  test.runIf(more)("lines stand out from every surface", () => {
    for (const surface of surfaces) expect(contrast(color("line"), color(surface)), surface).toBeGreaterThanOrEqual(3);
  });

  test("initials have enough contrast on every avatar", () => {
    for (const hue of hues)
      for (let tone = 0; tone < TONES; tone++) {
        const face = atHue(tokens.get(`avatar-${tone}`), hue);
        const ink = atHue(tokens.get(`on-avatar-${tone}`), hue);
        expect(contrast(face, ink), `hue ${hue}, tone ${tone}`).toBeGreaterThanOrEqual(4.5);
      }
  });
});
