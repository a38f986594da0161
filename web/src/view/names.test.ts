import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { User } from "../model";
import { text } from "../text";
import { expectQuick } from "./testing/quick";
import { doubtful, skeletonOf, mistakable, nameOf, shownName } from "./names";

const person = (displayName: string, username = "somebody"): User => ({
  uid: `uid of ${displayName} ${username}`,
  username,
  displayName,
});

describe("a name as it is shown", () => {
  test.each([
    ["Mira Kern", "Mira Kern"],
    ["  Mira \t Kern\n", "Mira Kern"],
    ["Mira\u202e nreK", "Mira nreK"],
    ["\u2066Mira\u2069\u200f", "Mira"],
    ["Mi\u200bra\u00ad\u2060\ufeff", "Mira"],
    ["Mi\u200dra", "Mira"], // a joiner without an effect
    ["\u3164\u2800", ""],
    ["\u200b\u200d", ""],
    ["\u{e0041}Mira\u{e007f}", "Mira"],
    ["M\ufe00ira\u{e0100}", "Mira"],
    // Characters that scripts and emoji need stay.
    ["می‌خواهم", "می‌خواهم"],
    ["क्‍ष", "क्‍ष"],
    ["👩‍👩‍👧 family", "👩‍👩‍👧 family"],
    ["❤️‍🔥", "❤️‍🔥"],
    ["🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"],
    ["\u3164\u200d", ""], // a joiner after a filler, which is a letter
    ["\u{1f848}\u200d", ""], // after a code point that is reserved for a future pictograph
    ["Nguyễn Thị Ánh", "Nguyễn Thị Ánh"],
    ["นำ้ทิ์", "นำ้ทิ์"],
  ])("%j is %j", (name, shown) => expect(shownName(name)).toBe(shown));

  test("stacked marks are cut to as many as fit into a line", () => {
    const zalgo = "Z" + "\u0336\u031b".repeat(20) + "a" + "\u0300".repeat(30);
    const shown = shownName(zalgo);
    expect(shown.length).toBeLessThanOrEqual(10);
    expect(shown.normalize("NFD").replace(/\p{M}/gu, "")).toBe("Za");
  });

  test("an invisible name is replaced by the username, or else by a neutral word", () => {
    expect(nameOf(person("\u200b\u2063", "mira.kern"))).toBe("mira.kern");
    expect(nameOf(person("", ""))).toBe(text.chats.gone);
  });

  test("cleaning any name twice changes nothing, and leaves nothing invisible", () => {
    fc.assert(
      fc.property(
        fc
          .array(
            fc.oneof(
              fc.string({ unit: "binary", maxLength: 6 }),
              fc.constantFrom("\u202e", "\u200d", "\u0300", "a", "😀", "\u{e0061}", "🏴"),
            ),
            { maxLength: 20 },
          )
          .map((p) => p.join("")),
        (name) => {
          const shown = shownName(name);
          expect(shownName(shown)).toBe(shown);
          expect(shown).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff\p{Cc}]/u);
        },
      ),
    );
  });
});

describe("names made to imitate", () => {
  test.each([
    "Мira Kern", // a Cyrillic М before Latin letters
    "Mirα Kern",
    "𝐌𝐢𝐫𝐚 𝐊𝐞𝐫𝐧",
    "Ｍｉｒａ",
    "Mira\u200b Kern",
    "Mira\u202eKern",
    "M" + "\u0300".repeat(9) + "ira",
  ])("%j is doubtful", (name) => expect(doubtful(name)).toBe(true));

  test.each([
    "Mira Kern",
    "Élodie Ö. O’Connor-Smith 3rd",
    "Мира Керн",
    "Mira Керн",
    "Μίρα",
    "عمر فاروق",
    "木村 ゆき",
    "می‌خواهم",
    "👩‍👩‍👧 family",
    "김민준",
    "Nguyễn Thị Ánh",
    "क्‍ष",
    "",
  ])("%j is not", (name) => expect(doubtful(name)).toBe(false));

  test.each([
    ["Mira Kern", "Мirа Kеrn"],
    ["Mira Kern", "mira  kem"],
    ["Paula", "PauIa"],
    ["Ada Lovelace", "𝐀𝐝𝐚 𝐋𝐨𝐯𝐞𝐥𝐚𝐜𝐞"],
    ["Bob", "B0b"],
    ["Ben", "Bén\u200b"],
  ])("%j looks like %j", (a, b) => expect(skeletonOf(a)).toBe(skeletonOf(b)));

  test("a list marks exactly the users who could be mistaken for another", () => {
    const [mira, other, lena, odd] = [
      person("Mira Kern", "mira.kern"),
      person("Мirа Кern", "mallory"),
      person("Lena"),
      person("Ｂｅｎ", "ben"),
    ];
    expect([...mistakable([mira, other, lena, odd])].sort()).toEqual([mira.uid, other.uid, odd.uid].sort());
    expect(mistakable([mira, lena]).size).toBe(0);
    // The same user twice is not two users.
    expect(mistakable([mira, mira]).size).toBe(0);
  });

  test("thousands of names are compared quickly", () => {
    const many = Array.from({ length: 8_000 }, (_, i) => person(`Somebody ${i} ${"e\u0301".repeat(20)}`));
    expectQuick(500, (size) => mistakable(many.slice(0, size)));
  });
});
