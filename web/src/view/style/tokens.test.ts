import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { TONES, hues } from "../parts/avatar";
import { type Linear, atHue, contrast, fromHex, readTheme } from "../testing/color";

// Checks each theme, which is one block of tokens.css, against WCAG 2.2 AA.

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

describe.each(["light", "dark"])("the %s theme", (name) => {
  const tokens = readTheme(css, name);
  const color = (key: string): Linear => fromHex(tokens.get(key) ?? "");
  const surfaces = ["paper", "pane", "raised", "hover", "ground", "theirs", "own"];

  test.each(["ink", "ink-2", "ember-text", "red", "green", "amber"])(
    "text in %s has enough contrast on every surface",
    (ink) => {
      for (const surface of surfaces) expect(contrast(color(ink), color(surface)), surface).toBeGreaterThanOrEqual(4.5);
    },
  );

  test("text on the primary button has enough contrast, pressed or not", () => {
    expect(contrast(color("on-ember"), color("ember"))).toBeGreaterThanOrEqual(4.5);
    expect(contrast(color("on-ember"), color("ember-press"))).toBeGreaterThanOrEqual(4.5);
  });

  test.each(["edge", "ember"])("controls in %s have enough contrast", (line) => {
    for (const surface of ["paper", "pane", "raised", "hover", "theirs"])
      expect(contrast(color(line), color(surface)), surface).toBeGreaterThanOrEqual(3);
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
