import { cpuUsage } from "node:process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
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
  ])("%s leads to %s", (body, href) => expect(hrefs(body)).toEqual([href]));

  test.each([
    "javascript:alert(1)",
    "data:text/html,x",
    "https://",
    "https://.",
    "www.",
    "ftp://example.org",
    "https://bank.example@evil.example/",
    "me@www.example.org",
    "xhttps://example.org",
    "file:///etc/passwd",
    "https://intranet",
  ])("%s is no link", (body) => expect(hrefs(body)).toEqual([]));

  test("a bidirectional override ends the address", () => {
    expect(pieces("https://example.org/\u202egnp.exe")).toEqual([
      { text: "https://example.org/", href: "https://example.org/", host: "example.org" },
      { text: "\u202egnp.exe" },
    ]);
  });

  test("whatever is written, nothing is lost and only http leads anywhere", () => {
    const part = fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.constantFrom("https://", "www.", "a.b", "(", ")", " ", "@", "http://x.y/"),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const body = parts.join("");
        const got = pieces(body);
        expect(got.map((p) => p.text).join("")).toBe(body);
        for (const { href } of got) if (href !== undefined) expect(href).toMatch(/^https?:\/\//u);
      }),
    );
  });

  // CPU time, since a busy machine stretches any clock: some milliseconds; a quadratic search needs seconds.
  test("a body of 8,000 characters made to be slow is quick", () => {
    const start = cpuUsage();
    pieces("https://" + "(".repeat(7900) + ")".repeat(92));
    pieces("www.".repeat(2000));
    pieces("https://a.b/" + ".)".repeat(3990));
    expect(cpuUsage(start).user).toBeLessThan(500_000);
  });
});
