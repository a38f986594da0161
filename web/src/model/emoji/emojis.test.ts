import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { validEmoji } from "../../protocol/emoji";
import table from "../../protocol/emoji.json";
import { byCode, findEmoji, groups, toned, TONES } from "./emojis";
import names from "./names.json";

const all = groups.flatMap(({ emoji }) => emoji);
const signs = (query: string): string[] => findEmoji(query, 5).map(({ sign }) => sign);

describe("the emoji that are offered", () => {
  test("are accepted as reactions, in every tone of skin", () => {
    expect(all.flatMap((emoji) => TONES.map((tone) => toned(emoji, tone))).filter((e) => !validEmoji(e))).toEqual([]);
  });

  test("are each emoji of the table once, apart from tones of skin", () => {
    const plain = table.emoji.split(" ").filter((emoji) => !/\p{Emoji_Modifier}/u.test(emoji));
    expect([...all.map(({ sign }) => sign)].sort()).toEqual(plain.sort());
    expect(all.filter(({ tones }) => tones).length).toBeGreaterThan(300);
  });

  test("come from the pinned version of their source, and have names", () => {
    const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
      devDependencies: Record<string, string>;
    };
    expect(names.source).toBe(`emojibase-data ${devDependencies["emojibase-data"]}`);
    for (const { name, codes } of all) {
      expect(name).not.toBe("");
      expect(codes.join(" ")).toMatch(/^[a-z0-9_+-]+(?: [a-z0-9_+-]+)*$/u);
    }
  });
});

describe("an emoji is found", () => {
  test.each([
    ["tada", "🎉"],
    ["+1", "👍"],
    ["thumbs", "👍"],
    ["thumbs up", "👍"],
    ["HEART", "❤️"],
    ["grin", "😁"],
    ["germany", "🇩🇪"],
    ["red heart", "❤️"],
  ])("by %j: %s", (query, sign) => expect(signs(query)[0]).toBe(sign));

  test.each(["", "  ", ":", "zzzz", "🎉"])("not by %j", (query) => expect(signs(query)).toEqual([]));

  test("by its whole code alone, without regard to case", () => {
    expect(byCode("Joy")?.sign).toBe("😂");
    expect(byCode("jo")).toBeUndefined();
  });

  test("by each of its codes, among as many as are wanted", () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), (emoji) => {
        for (const code of emoji.codes) expect(byCode(code)?.codes).toContain(code);
        expect(findEmoji(emoji.codes[0] ?? "", 8)).toContain(emoji);
      }),
    );
    expect(findEmoji("a", 3)).toHaveLength(3);
  });
});
