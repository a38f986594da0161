/**
 * Finds the formatting of a message body, and the addresses in it (see ./links.ts): *bold*, _italic_, ~struck~, `code`,
 * blocks of code between lines of three backticks, quotes ("> ") and lists ("- ", "1. "). Loaded when a message may
 * contain any of this (see ./rich.svelte.ts).
 *
 * The signs stay in the result, so that the joined texts of all nodes are the body. What does not look like formatting
 * stays as typed: a sign starts formatting only at the start of a word and ends it only at the end of one, in the same
 * line. A backslash before a sign turns it off.
 */
import { SPACELESS, pieces } from "./links";

/** A part of a line. A sign is shown only while its text is written. */
export type Inline =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "sign"; readonly text: string }
  | { readonly kind: "link"; readonly text: string; readonly href: string; readonly host?: string }
  | { readonly kind: "bold"; readonly content: readonly Inline[] }
  | { readonly kind: "italic"; readonly content: readonly Inline[] }
  | { readonly kind: "struck"; readonly content: readonly Inline[] }
  | { readonly kind: "code"; readonly content: readonly Inline[] };

type Style = Extract<Inline, { readonly content: unknown }>["kind"];

/** A part of a body, with the line feed at its end. The signs of a block of code are in `open` and `close`. */
export type Block =
  | { readonly kind: "lines"; readonly content: readonly Inline[] }
  | { readonly kind: "quote"; readonly content: readonly Inline[] }
  | { readonly kind: "list"; readonly start: number | null; readonly items: readonly (readonly Inline[])[] }
  | { readonly kind: "block"; readonly open: string; readonly code: string; readonly close: string };

/**
 * Splits a body into blocks. If `cut`, the body is the beginning of a longer one, so a block of code needs no end. Takes
 * time proportional to the length of the body.
 */
export function marked(body: string, cut = false): Block[] {
  return new Body(body, cut).blocks();
}

/** A part of a text that is being written, with the kinds of the nodes and blocks around it. */
export interface Segment {
  readonly text: string;
  readonly kinds: readonly string[];
}

/** Flattens blocks. Nothing is hidden, and the joined texts are the body. */
export function segments(blocks: readonly Block[]): Segment[] {
  const out: Segment[] = [];
  const walk = (nodes: readonly Inline[], kinds: readonly string[]): void => {
    for (const node of nodes) {
      if ("content" in node) walk(node.content, [...kinds, node.kind]);
      else out.push({ text: node.text, kinds: [...kinds, node.kind] });
    }
  };
  for (const block of blocks) {
    if (block.kind === "list") for (const item of block.items) walk(item, []);
    else if (block.kind !== "block") walk(block.content, [block.kind]);
    else {
      walk([sign(block.open)], []);
      walk([plain(block.code)], ["code"]);
      walk([sign(block.close)], []);
    }
  }
  return out;
}

function plain(text: string): Inline {
  return { kind: "text", text };
}

function sign(text: string): Inline {
  return { kind: "sign", text };
}

const FENCE = /^```[\w+#.-]{0,20}$/u;
const FENCED_LINE = /^(```)([^`]+)(```)$/u;
const QUOTED = /^>(?: |$)/u;
const BULLET = /^[-*•] (?=\S)/u;
const NUMBER = /^(\d{1,4})[.)] (?=\S)/u;
/** A backslash that turns off the block that would begin behind it. */
const ESCAPED_BLOCK = /^\\(?=> |>$|[-*•] \S|```)|^\d{1,4}(\\)(?=[.)] \S)/u;

type Link = Token & { readonly shown: Inline };

interface Line {
  readonly start: number;
  /** Before the line feed. */
  readonly end: number;
}

class Body {
  readonly body: string;
  readonly cut: boolean;
  readonly #links: readonly Link[];
  /** The index of the first link that does not end before the current place. */
  #link = 0;

  constructor(body: string, cut: boolean) {
    this.body = body;
    this.cut = cut;
    const links: Link[] = [];
    let at = 0;
    for (const { text, href, host } of pieces(body)) {
      const end = at + text.length;
      if (href !== undefined)
        links.push({ at, end, shown: { kind: "link", text, href, ...(host === undefined ? {} : { host }) } });
      at = end;
    }
    this.#links = links;
  }

  blocks(): Block[] {
    const lines = this.#lines();
    const blocks: Block[] = [];
    let paragraph: Inline[] = [];
    const flush = (): void => {
      if (paragraph.length > 0) blocks.push({ kind: "lines", content: paragraph });
      paragraph = [];
    };
    for (let n = 0; n < lines.length;) {
      const made = this.#fenced(lines, n) ?? this.#quote(lines, n) ?? this.#list(lines, n);
      if (made) {
        flush();
        blocks.push(made.block);
        n = made.next;
        continue;
      }
      const line = lines[n++] as Line;
      paragraph.push(...this.#line(line), ...this.#feed(line));
    }
    flush();
    return blocks;
  }

  #lines(): Line[] {
    const lines: Line[] = [];
    for (let start = 0; ;) {
      const feed = this.body.indexOf("\n", start);
      if (feed < 0) return [...lines, { start, end: this.body.length }];
      lines.push({ start, end: feed });
      start = feed + 1;
    }
  }

  /** The fence that closes the last block of code. There is none after it, so no line is searched twice. */
  #noFenceFrom = Infinity;

  #fenced(lines: readonly Line[], n: number): { block: Block; next: number } | null {
    const first = lines[n] as Line;
    const head = this.#text(first);
    const single = FENCED_LINE.exec(head);
    if (single?.[2]?.trim()) {
      const [, open = "", code = ""] = single;
      return {
        block: { kind: "block", open, code, close: this.body.slice(first.end - 3, first.end + 1) },
        next: n + 1,
      };
    }
    if (!FENCE.test(head) || n >= this.#noFenceFrom) return null;
    let end = n + 1;
    while (end < lines.length && this.#text(lines[end] as Line) !== "```") end++;
    const last = lines[end];
    if (!last && !(this.cut && lines.length > n + 1)) {
      this.#noFenceFrom = n;
      return null;
    }
    const from = first.end + 1;
    const to = last ? Math.max(from, last.start - 1) : this.body.length;
    const code = this.body.slice(from, to);
    if (last && code.trim() === "") return null; // a block without content would show nothing
    const close = last ? this.body.slice(to, last.end + 1) : "";
    return { block: { kind: "block", open: `${head}\n`, code, close }, next: end + 1 };
  }

  #quote(lines: readonly Line[], n: number): { block: Block; next: number } | null {
    const content: Inline[] = [];
    let next = n;
    for (let line = lines[next]; line; line = lines[++next]) {
      const mark = QUOTED.exec(this.#text(line))?.[0];
      // A line of ">" alone continues a quote but does not begin one.
      if (mark === undefined || (next === n && mark === ">")) break;
      content.push(sign(mark), ...this.#line({ start: line.start + mark.length, end: line.end }), ...this.#feed(line));
    }
    return next === n ? null : { block: { kind: "quote", content }, next };
  }

  #list(lines: readonly Line[], n: number): { block: Block; next: number } | null {
    const items: Inline[][] = [];
    const number = NUMBER.exec(this.#text(lines[n] as Line));
    const start = number ? Number(number[1]) : null;
    let next = n;
    for (let line = lines[next]; line; line = lines[++next]) {
      const found = (start === null ? BULLET : NUMBER).exec(this.#text(line));
      // A number that does not follow the last one begins another list, so that it is shown as typed.
      if (!found || (start !== null && Number(found[1]) !== start + items.length)) break;
      const mark = found[0];
      const words = { start: line.start + mark.length, end: line.end };
      items.push([sign(mark), ...this.#line(words), ...this.#feed(line)]);
    }
    return items.length === 0 ? null : { block: { kind: "list", start, items }, next };
  }

  #text(line: Line): string {
    return this.body.slice(line.start, line.end);
  }

  /** The line feed after a line. It shows no empty line, not even at the end of a block. */
  #feed(line: Line): Inline[] {
    return line.end < this.body.length ? [plain("\n")] : [];
  }

  #line({ start, end }: Line): Inline[] {
    const tokens: Token[] = [];
    const signs: Sign[] = [];
    for (let link = this.#links[this.#link]; link && link.at < end; link = this.#links[++this.#link])
      if (link.at >= start) tokens.push(link);
    let link = 0;
    for (const { index, 0: run } of this.body.slice(start, end).matchAll(RUNS)) {
      const at = start + index;
      while ((tokens[link]?.end ?? end) <= at) link++;
      const kind = KINDS[run];
      if (kind === undefined || (tokens[link]?.at ?? end) <= at) continue;
      signs.push(new Sign(this.body, { start, end }, at, run, kind));
    }
    const escape = ESCAPED_BLOCK.exec(this.body.slice(start, end));
    if (escape) {
      const at = start + escape[0].length - 1;
      tokens.push({ at, end: at + 1 });
    }
    for (const [open, close] of matched(signs, false)) {
      tokens.push({ at: open.at, end: open.end, opens: open.kind }, { at: close.at, end: close.end, closes: true });
    }
    for (const { at, escaped } of matched(signs, true).flat()) if (escaped) tokens.push({ at: at - 1, end: at });
    return this.#tree(
      { start, end },
      tokens.sort((a, b) => a.at - b.at),
    );
  }

  /** Nests the parts of a line. */
  #tree(line: Line, tokens: readonly Token[]): Inline[] {
    const nodes: Inline[] = [];
    const open: { readonly kind: Style; readonly content: Inline[] }[] = [];
    const add = (node: Inline): void => void (open.at(-1)?.content ?? nodes).push(node);
    const text = (to: number): void => {
      if (to > at) add({ kind: "text", text: this.body.slice(at, to) });
      at = to;
    };
    let at = line.start;
    for (const token of tokens) {
      // The text of code is neither a link nor escaped.
      if (open.at(-1)?.kind === "code" && !token.closes) continue;
      text(token.at);
      at = token.end;
      const closed = token.closes === true ? open.pop() : undefined;
      if (closed) add(closed);
      add(token.shown ?? sign(this.body.slice(token.at, token.end)));
      if (token.opens) open.push({ kind: token.opens, content: [] });
    }
    text(line.end);
    return nodes;
  }
}

interface Token {
  readonly at: number;
  readonly end: number;
  readonly shown?: Inline;
  readonly opens?: Style;
  readonly closes?: boolean;
}

const RUNS = /\*+|_+|~+|`+/gu;
/** Signs may be doubled as in Markdown, but two underscores belong to names such as __init__. */
const KINDS: Readonly<Record<string, Style>> = {
  "*": "bold",
  "**": "bold",
  _: "italic",
  "~": "struck",
  "~~": "struck",
  "`": "code",
};

/** Characters before which a word may begin, although they are not space. A hyphen would make faces of "-_-" italic. */
const BEFORE = new RegExp(`^[\\s\\p{Ps}\\p{Pi}"'“„‘‚,;:.!?/¿¡—–…*_~\`\\p{Extended_Pictographic}${SPACELESS}]?$`, "u");
/** Characters that cannot follow an opening sign: space, and punctuation that does not begin a word. */
const NOT_FIRST = /^[\s.,;:!?…\p{Pe}\p{Pd}]?$/u;
const AFTER = new RegExp(`^[\\s\\p{P}~\`\\p{Extended_Pictographic}${SPACELESS}]?$`, "u");
/** Formatting without any of this stays as typed: "*_*". */
const CONTENT = /[\p{L}\p{N}\p{Sc}\p{Extended_Pictographic}]/u;

class Sign {
  readonly body: string;
  readonly at: number;
  readonly end: number;
  readonly run: string;
  readonly kind: Style;
  readonly escaped: boolean;
  readonly opens: boolean;
  readonly closes: boolean;

  constructor(body: string, line: Line, at: number, run: string, kind: Style) {
    this.body = body;
    this.at = at;
    this.run = run;
    this.kind = kind;
    this.end = at + run.length;
    this.escaped = at > line.start && body[at - 1] === "\\";
    const to = this.escaped ? at - 1 : at;
    const before = /.?$/u.exec(body.slice(Math.max(line.start, to - 2), to))?.[0] ?? "";
    const next = /^.?/u.exec(body.slice(this.end, Math.min(line.end, this.end + 2)))?.[0] ?? "";
    const code = kind === "code";
    this.opens = BEFORE.test(before) && (code ? /^\S/u : /^./u).test(next) && (code || !NOT_FIRST.test(next));
    this.closes = /\S/u.test(before) && AFTER.test(next);
  }
}

/**
 * Pairs the signs of a line so that no two pairs cross. Code wins over everything in it. An escaped sign pairs only
 * `withEscaped`, which shows what its backslash turns off; only after code that began, a backslash means nothing.
 */
function matched(signs: readonly Sign[], withEscaped: boolean): [Sign, Sign][] {
  const pairs: [Sign, Sign][] = [];
  /** The signs that may still begin formatting, at most one of each kind. */
  let open: Sign[] = [];
  /** No code ends after this sign. */
  let noCodeFrom = Infinity;
  for (let i = 0; i < signs.length; i++) {
    const sign = signs[i] as Sign;
    if (sign.escaped && !withEscaped) continue;
    if (sign.kind === "code") {
      if (!sign.opens || i >= noCodeFrom) continue;
      let end = i + 1;
      while (end < signs.length && !(signs[end]?.kind === "code" && signs[end]?.closes)) end++;
      const close = signs[end];
      if (close) {
        pairs.push([sign, close]);
        i = end;
      } else noCodeFrom = i;
      continue;
    }
    const opener = sign.closes ? open.find((other) => other.run === sign.run) : undefined;
    if (opener) {
      open = open.slice(0, open.indexOf(opener));
      if (CONTENT.test(sign.body.slice(opener.end, sign.at))) {
        pairs.push([opener, sign]);
        continue;
      }
    }
    if (sign.opens) open = [...open.filter((other) => other.run !== sign.run), sign];
  }
  return pairs;
}
