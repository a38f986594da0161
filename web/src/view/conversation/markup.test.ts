import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectQuick } from "../testing/quick";
import { type Block, type Inline, marked } from "./markup";

/** Writes nodes as HTML would show them, without the signs. */
function shown(nodes: readonly Inline[]): string {
  return nodes
    .map((node) => {
      if (node.kind === "sign") return "";
      if (node.kind === "text") return node.text;
      if (node.kind === "link") return `<a>${node.text}</a>`;
      const tag = { bold: "b", italic: "i", struck: "s", code: "code" }[node.kind];
      return `<${tag}>${shown(node.content)}</${tag}>`;
    })
    .join("");
}

function html(body: string, cut = false): string {
  return marked(body, cut)
    .map((block) => {
      if (block.kind === "lines") return shown(block.content);
      if (block.kind === "quote") return `<q>${shown(block.content)}</q>`;
      if (block.kind === "block") return `<pre>${block.code}</pre>`;
      const items = block.items.map((item) => `<li>${shown(item)}</li>`).join("");
      return block.start === null ? `<ul>${items}</ul>` : `<ol ${block.start}>${items}</ol>`;
    })
    .join("|");
}

function written(blocks: readonly Block[]): string {
  const text = (nodes: readonly Inline[]): string =>
    nodes.map((node) => ("content" in node ? text(node.content) : node.text)).join("");
  return blocks
    .map((block) => {
      if (block.kind === "block") return block.open + block.code + block.close;
      return block.kind === "list" ? block.items.map(text).join("") : text(block.content);
    })
    .join("");
}

describe("formatting within a line", () => {
  test.each([
    ["*bold*", "<b>bold</b>"],
    ["_italic_", "<i>italic</i>"],
    ["~struck~", "<s>struck</s>"],
    ["`code`", "<code>code</code>"],
    ["**bold** and ~~struck~~", "<b>bold</b> and <s>struck</s>"],
    ["a *b c* d", "a <b>b c</b> d"],
    ["*_both_*", "<b><i>both</i></b>"],
    ["*bold _and italic_*", "<b>bold <i>and italic</i></b>"],
    ["(*bold*), _italic_!", "(<b>bold</b>), <i>italic</i>!"],
    ["*Stop!*", "<b>Stop!</b>"],
    ["“*bold*”", "“<b>bold</b>”"],
    ["`*not bold*`", "<code>*not bold*</code>"],
    ["`a` and `b`", "<code>a</code> and <code>b</code>"],
    ["`&&`", "<code>&&</code>"],
    ["`C:\\`", "<code>C:\\</code>"],
    ["`https://example.org`", "<code>https://example.org</code>"],
    ["*see example.org*", "<b>see <a>example.org</a></b>"],
    ["*bold* https://example.org/a_b_c _italic_", "<b>bold</b> <a>https://example.org/a_b_c</a> <i>italic</i>"],
    ["*ä*", "<b>ä</b>"],
    ["*😀*", "<b>😀</b>"],
    ["😀*bold*😀", "😀<b>bold</b>😀"],
    ["这是*粗体*字", "这是<b>粗体</b>字"],
    ["*bold*\nnext", "<b>bold</b>\nnext"],
    ["*a *b*", "*a <b>b</b>"],
    ["*a _b* c_", "<b>a _b</b> c_"],
  ])("%s is %s", (body, expected) => expect(html(body)).toBe(expected));

  test.each([
    "snake_case and other_snake_case",
    "__init__",
    "2*3*4",
    "2 * 3 * 4",
    "a*b*c",
    "*not\nbold*",
    "a * not bold*",
    "*not bold *",
    "**",
    "***",
    "*_*",
    "___",
    "-_- ok -_-",
    "^_^ and ^_^",
    "._. hello ._.",
    ">_< ok >_<",
    "¯\\_(ツ)_/¯",
    "o_o, O_O",
    "see you :* and :*",
    "~5 min, ~10 km",
    "don`t and can`t",
    "rock 'n' roll",
    "*.txt and *.md",
    "C:\\*.txt",
    "C:\\_temp\\_old",
    "\\",
    "a \\ b",
    "5*",
    "```",
    "#_a_b_",
  ])("%s stays as typed", (body) => expect(html(body)).toBe(body));

  test.each([
    ["\\*not bold\\*", "*not bold*"],
    ["\\*not bold*", "*not bold*"],
    ["*a\\* b*", "<b>a* b</b>"],
    ["\\_x_ *y*", "_x_ <b>y</b>"],
    ["\\`*x*`", "`<b>x</b>`"],
    ["\\> no quote", "> no quote"],
    ["\\- no list", "- no list"],
    ["1\\. no list", "1. no list"],
  ])("a backslash turns formatting off: %s is %s", (body, expected) => expect(html(body)).toBe(expected));

  test.each(["https://example.org/*a*b", "mara_k_@example.org", "www.example.org/_x_y", "https://a.b/~user~/"])(
    "an address stays as typed: %s",
    (body) => expect(html(body)).toBe(`<a>${body}</a>`),
  );
});

describe("blocks", () => {
  test.each([
    ["> quoted", "<q>quoted</q>"],
    ["> a\n> *b*\n>\n> c\nd", "<q>a\n<b>b</b>\n\nc\n</q>|d"],
    [">quoted", ">quoted"],
    [">", ">"],
    ["say:\n> it\nno", "say:\n|<q>it\n</q>|no"],
    ["- a\n- b", "<ul><li>a\n</li><li>b</li></ul>"],
    ["* a\n* *b*", "<ul><li>a\n</li><li><b>b</b></li></ul>"],
    ["1. a\n2. b\n4. c", "<ol 1><li>a\n</li><li>b\n</li></ol>|<ol 4><li>c</li></ol>"],
    ["3. May\n\n- x", "<ol 3><li>May\n</li></ol>|\n|<ul><li>x</li></ul>"],
    ["-5 degrees", "-5 degrees"],
    ["1.5 litres", "1.5 litres"],
    ["- ", "- "],
    ["```\na *b*\n  c\n```\nend", "<pre>a *b*\n  c</pre>|end"],
    ["```go\nx := 1\n```", "<pre>x := 1</pre>"],
    ["```x := 1```", "<pre>x := 1</pre>"],
    ["```\n```", "```\n```"],
    ["``` ```", "``` ```"],
    ["a\n```\n \n```\nb", "a\n```\n \n```\nb"],
    ["```\nhttps://example.org\n```", "<pre>https://example.org</pre>"],
    ["```\nnever closed", "```\nnever closed"],
    ["```\na\n```\n```\nb\n```", "<pre>a</pre>|<pre>b</pre>"],
  ])("%j is %j", (body, expected) => expect(html(body)).toBe(expected));

  test("the beginning of a longer body may end within code", () => {
    expect(html("a\n```\nb\nc", true)).toBe("a\n|<pre>b\nc</pre>");
    expect(html("a\n```", true)).toBe("a\n```");
  });
});

const part = fc.oneof(
  fc.string({ unit: "binary", maxLength: 4 }),
  fc.constantFrom(
    ..."*_~`\\ \n>-a1.)😀é字",
    ..."** ~~ ``` *a* _b_ \n```\n \n> \n- \n1. https://example.org/_a_ a.b@c.de +4930123456".split(" "),
  ),
);
const bodies = fc.array(part, { maxLength: 30 }).map((parts) => parts.join(""));

describe("every body", () => {
  test("keeps its text", () => {
    fc.assert(
      fc.property(bodies, fc.boolean(), (body, cut) => {
        expect(written(marked(body, cut))).toBe(body);
      }),
      { numRuns: 400 },
    );
  });

  test("has no formatting within the same formatting, and nothing in code or links", () => {
    const walk = (nodes: readonly Inline[], within: readonly string[]): void => {
      for (const node of nodes) {
        if (!("content" in node)) continue;
        expect(within).not.toContain(node.kind);
        expect(within).not.toContain("code");
        if (node.kind === "code") expect(node.content.map((inner) => inner.kind)).toEqual(["text"]);
        expect(written([{ kind: "lines", content: node.content }])).not.toMatch(/^\s|\s$|\n|^$/u);
        walk(node.content, [...within, node.kind]);
      }
    };
    fc.assert(
      fc.property(bodies, (body) => {
        for (const block of marked(body)) {
          if (block.kind === "list") for (const item of block.items) walk(item, []);
          else if (block.kind !== "block") walk(block.content, []);
        }
      }),
      { numRuns: 400 },
    );
  });

  test("means the same on each line, whatever is on other lines", () => {
    const line = fc.array(part, { maxLength: 12 }).map((parts) => parts.join("").replace(/\n/gu, ""));
    fc.assert(
      fc.property(line, line, (one, two) => {
        fc.pre(!/^(?:```|> ?|[-*•] |\d+[.)] )/u.test(one + two) && !/^(?:```|>|[-*•] |\d+[.)] )/u.test(two));
        expect(html(`${one}\n${two}`)).toBe(`${html(one)}\n${html(two)}`);
      }),
    );
  });

  test.each([
    "*",
    "* ",
    " *a",
    "a* ",
    "*a* ",
    "(*(",
    "`",
    " `a",
    "`a` ",
    "\\*",
    "\\*a ",
    "*a _b ~c ",
    "_a *b* ",
    "\n",
    ">\n",
    "> \n",
    "- a\n",
    "1. a\n",
    "```\n",
    "```a\n",
    "\n```",
    "*_~`",
    " *😀",
    "https://a.b/*\n",
    "*a.de ",
    "\\* a\\* ",
  ])("of 8,000 characters is parsed quickly, even a hostile one: %j", (unit) => {
    for (const cut of [false, true]) {
      expectQuick(60, (size) => marked(unit.repeat(size / unit.length), cut));
    }
  });
});
