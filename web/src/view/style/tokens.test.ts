import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { hues } from "../parts/avatar";

// Checks each theme, which is one block of tokens.css, against WCAG 2.2 AA.

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");

function theme(name: string): Map<string, string> {
  const block = new RegExp(`\\[data-theme="${name}"\\] \\{([^}]*)\\}`, "u").exec(css)?.[1] ?? "";
  return new Map([...block.matchAll(/--([\w-]+):\s*([^;]+);/gu)].map(([, key, value]) => [key ?? "", value ?? ""]));
}

type Linear = readonly [number, number, number];

function fromHex(hex: string): Linear {
  expect(hex).toMatch(/^#[0-9a-f]{6}$/u);
  const channel = (at: number): number => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

/** Converts oklch to linear sRGB, clipped to the gamut, which is close to what browsers do (CSS Color 4 §9.3). */
function fromOklch(l: number, c: number, hue: number): Linear {
  const a = c * Math.cos((hue * Math.PI) / 180);
  const b = c * Math.sin((hue * Math.PI) / 180);
  const L = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const M = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const S = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const cut = (x: number): number => Math.min(1, Math.max(0, x));
  return [
    cut(4.0767416621 * L - 3.3077115913 * M + 0.2309699292 * S),
    cut(-1.2684380046 * L + 2.6097574011 * M - 0.3413193965 * S),
    cut(-0.0041960863 * L - 0.7034186147 * M + 1.707614701 * S),
  ];
}

function contrast(a: Linear, b: Linear): number {
  const luminance = ([r, g, bl]: Linear): number => 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}

describe.each(["light", "dark"])("the %s theme", (name) => {
  const tokens = theme(name);
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
    const n = (key: string): number => Number(tokens.get(key));
    for (const hue of hues) {
      const face = fromOklch(n("avatar-lightness"), n("avatar-chroma"), hue);
      const ink = fromOklch(n("avatar-ink-lightness"), n("avatar-ink-chroma"), hue);
      expect(contrast(face, ink), `hue ${hue}`).toBeGreaterThanOrEqual(4.5);
    }
  });
});
