import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectQuick } from "../testing/quick";
import { pieces } from "./links";

const hrefs = (body: string) => pieces(body).flatMap((p) => (p.href === undefined ? [] : [p.href]));

describe("links", () => {
  test.each([
    ["see https://example.org/a?b=c#d.", "https://example.org/a?b=c#d"],
    ["(https://example.org/wiki/Foo_(bar))", "https://example.org/wiki/Foo_(bar)"],
    ["www.example.org, of course", "https://www.example.org/"],
    ["HTTP://EXAMPLE.ORG", "http://example.org/"],
    ["“https://example.org/ä”", "https://example.org/%C3%A4"],
    ["https://пример.рф/", "https://xn--e1afmkfd.xn--p1ai/"],
    ["http://localhost:8080/x", "http://localhost:8080/x"],
    ["http://intranet/wiki", "http://intranet/wiki"],
    // Punctuation of other scripts.
    ["https://example.org/docs。次の文", "https://example.org/docs"],
    ["次はhttps://example.org/docs、そして", "https://example.org/docs"],
    ["（https://example.org）", "https://example.org/"],
    ["「https://example.org/a」と", "https://example.org/a"],
    ["【https://example.org/a】", "https://example.org/a"],
    ["见https://example.org/a，然后", "https://example.org/a"],
    ["https://example.org/a！", "https://example.org/a"],
    ["｜https://example.org/a｜b", "https://example.org/a"],
    ["https://example.org/a؟", "https://example.org/a"],
    ["https://example.org/a، ثم", "https://example.org/a"],
    ["https://example.org/a۔", "https://example.org/a"],
    ["https://example.org/a।", "https://example.org/a"],
    ["https://example.org/a॥ फिर", "https://example.org/a"],
    ["https://example.org/a…", "https://example.org/a"],
    ["«https://example.org/a»", "https://example.org/a"],
    ["„https://example.org/a“", "https://example.org/a"],
    ["https://example.org/हिन्दी", "https://example.org/%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D%E0%A4%A6%E0%A5%80"],
    ["https://example.org/Rhein–Main", "https://example.org/Rhein%E2%80%93Main"],
    ["https://example.orgを見て", "https://example.org/"],
    ["ดูที่https://example.orgครับ", "https://example.org/"],
    ["https://example.org😀", "https://example.org/"],
    ["www.example.orgпривет", "https://www.example.org/"],
    // IP addresses.
    ["http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080/x"],
    ["(http://[2001:db8::1]/)", "http://[2001:db8::1]/"],
    ["http://192.0.2.7/a.", "http://192.0.2.7/a"],
    // Without a scheme.
    ["example.org", "https://example.org/"],
    ["Look at example.org, please", "https://example.org/"],
    ["(example.org/a?b=c#d)", "https://example.org/a?b=c#d"],
    ["EXAMPLE.ORG.", "https://example.org/"],
    ["example.org:8080/x", "https://example.org:8080/x"],
    ["s.l.o.w.example.io", "https://s.l.o.w.example.io/"],
    ["a-b.com: new", "https://a-b.com/"],
    ["example.co.uk!", "https://example.co.uk/"],
    ["次はexample.org。", "https://example.org/"],
    ["münchen.de", "https://xn--mnchen-3ya.de/"],
    ["президент.рф", "https://xn--d1abbgf6aiiy.xn--p1ai/"],
    [">>example.org", "https://example.org/"],
    ["<example.org/a>.", "https://example.org/a"],
    ["example.md/page", "https://example.md/page"],
    // The ends of addresses.
    ["https://example.org/a_(b)_c", "https://example.org/a_(b)_c"],
    ["https://example.org/(a) (b)", "https://example.org/(a)"],
    ["[https://example.org/a]", "https://example.org/a"],
    ["https://example.org/it's", "https://example.org/it's"],
    ["'https://example.org/a'", "https://example.org/a"],
    ["https://example.org/trailing-", "https://example.org/trailing-"],
    ["https://example.org/a/0,,1-2,00.html", "https://example.org/a/0,,1-2,00.html"],
    ["https://example.org/@48.1,11.5,15z?hl=de", "https://example.org/@48.1,11.5,15z?hl=de"],
    ["https://example.org/#!/a", "https://example.org/#!/a"],
    ["https://example.org(", "https://example.org/"],
    // Email addresses.
    ["mara@example.org", "mailto:mara@example.org"],
    ["Write to <mara.k+chat@mail.example.org>.", "mailto:mara.k+chat@mail.example.org"],
    ["mailto:mara@example.org", "mailto:mara@example.org"],
    ["jürgen@müller.example", "mailto:jürgen@müller.example"],
    ["（mara@example.org）", "mailto:mara@example.org"],
    ["联系mara@example.org。", "mailto:mara@example.org"],
    ["メールはmara@example.orgへ", "mailto:mara@example.org"],
    ["mara@пример.рф", "mailto:mara@пример.рф"],
    ["'mara@example.org'", "mailto:mara@example.org"],
    ["o'brien@example.org", "mailto:o'brien@example.org"],
    // Phone numbers.
    ["+49 (0)30 1234567", "tel:+49301234567"],
    ["(+49) 30 1234567", "tel:+49301234567"],
    ["(+49 30 1234567)", "tel:+49301234567"],
    ["1-800-555-0199", "tel:18005550199"],
    ["+49 30 1234567", "tel:+49301234567"],
    ["Call +1 (212) 555-0199.", "tel:+12125550199"],
    ["(212) 555-0199", "tel:2125550199"],
    ["030 / 1234567,", "tel:0301234567"],
    ["0171-2345678", "tel:01712345678"],
  ])("%s leads to %s", (body, href) => expect(hrefs(body)).toEqual([href]));

  test.each([
    "javascript:alert(1)",
    "data:text/html,x",
    "https://",
    "https://.",
    "www.",
    "ftp://example.org",
    "https://bank.example@evil.example/",
    "me@",
    "@mara.example.org",
    "example.invalid",
    "example.coma",
    "e.g. this, i.e. that",
    "image.jpg",
    "README.md",
    "setup.py and run.sh",
    "/path/to/file.pl",
    "him.It was",
    "1.2.3",
    "version 1.2.3.4.5",
    "example.org:500000",
    "mara@example",
    "mara@example.123",
    "2026-11-26",
    "26.11.2026",
    "01/02/2026",
    "01-02-2026",
    "12:30:45",
    "0.123456789",
    "1234567890",
    "order 4711-0815",
    "DE89 3704 0044 0532 0130 00",
    "€ 1,234,567.89",
    "http://[2001:db8::1/",
    "http://.example.org",
    "http://999",
    "xhttps://example.org",
    "file:///etc/passwd",
  ])("%s is no link", (body) => expect(hrefs(body)).toEqual([]));

  test("a bidirectional override ends the address", () => {
    expect(pieces("https://example.org/\u202egnp.exe")).toEqual([
      { text: "https://example.org/", href: "https://example.org/", host: "example.org" },
      { text: "\u202egnp.exe" },
    ]);
  });

  test("of an address with another one in it, only the outer one is a link", () => {
    expect(hrefs("https://example.org/?to=mara@example.org&tel=+49301234567")).toEqual([
      "https://example.org/?to=mara@example.org&tel=+49301234567",
    ]);
    expect(hrefs("https://bank.example@evil.example/")).toEqual([]);
    expect(hrefs("mara@example.org and example.org")).toEqual(["mailto:mara@example.org", "https://example.org/"]);
  });

  test("no text is lost, and only known schemes become links", () => {
    const part = fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.constantFrom("https://", "www.", "a.b", "(", ")", " ", "@", "http://x.y/", "example.org", "+4930", "。"),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const body = parts.join("");
        const got = pieces(body);
        expect(got.map((p) => p.text).join("")).toBe(body);
        for (const { href } of got) if (href !== undefined) expect(href).toMatch(/^(?:https?:\/\/|mailto:|tel:\+?\d)/u);
      }),
    );
  });

  test.each([
    ["https://", "(", ")".repeat(92)],
    ["", "www.", ""],
    ["https://a.b/", ".)", ""],
    ["", "a.", ""],
    ["", "a", ""],
    ["", "a-", ""],
    ["", "a@", ""],
    ["", "a.b@c.", ""],
    ["", "+1", ""],
    ["", "0 ", ""],
    ["", "a'", ""],
    ["", "次a", ""],
    ["", "次", ""],
    ["", "😀", ""],
    ["", "👩\u200d", ""],
    ["", "🇩", ""],
    ["", "\u200d", ""],
    ["", "\ud83d", ""],
    ["", "\u0336\u031b", ""],
    ["", "https://a.bc次", ""],
    ["", "次", "."],
    ["", "例.", ""],
    ["", "次example.org", ""],
    // Scripts without spaces, in which an address may begin after any letter.
    ["", "次a.", ""],
    ["", "次a.b次", ""],
    ["", "次次-", ""],
    ["", "次a@b.", ""],
    ["", "次a.中国次", ""],
    ["", "~org.中国'", ""],
    ["", "?次.com.1.com", "次#"],
  ])("%s%s… %s: a long hostile body is searched quickly", (lead, unit, rest) => {
    expectQuick(60, (size) => pieces(lead + unit.repeat(size / unit.length) + rest));
  });
});
