/** Colors as browsers compute them, for tests of contrast and of difference. */

export type Linear = readonly [number, number, number];

export function fromHex(hex: string): Linear {
  if (!/^#[0-9a-f]{6}$/u.test(hex)) throw new Error(`${hex} is not a color`);
  const channel = (at: number): number => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

/** Converts oklch to linear sRGB, clipped to the gamut, which is close to what browsers do (CSS Color 4 §9.3). */
export function fromOklch(l: number, c: number, hue: number): Linear {
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

export function contrast(a: Linear, b: Linear): number {
  const luminance = ([r, g, bl]: Linear): number => 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}

/** Returns the distance of two colors in Oklab. People begin to see a difference at about 0.02. */
export function difference(a: Linear, b: Linear): number {
  const [p, q] = [toOklab(a), toOklab(b)];
  return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

function toOklab([r, g, b]: Linear): Linear {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** Reads the colors of a theme from tokens.css. */
export function readTheme(css: string, name: string): Map<string, string> {
  const block = new RegExp(`\\[data-theme="${name}"\\] \\{([^}]*)\\}`, "u").exec(css)?.[1] ?? "";
  return new Map([...block.matchAll(/--([\w-]+):\s*([^;]+);/gu)].map(([, key, value]) => [key ?? "", value ?? ""]));
}

/** Returns the color of a token of lightness and chroma at a hue. */
export function atHue(token: string | undefined, hue: number): Linear {
  const [lightness = Number.NaN, chroma = Number.NaN] = (token ?? "").split(" ").map(Number);
  return fromOklch(lightness, chroma, hue);
}
