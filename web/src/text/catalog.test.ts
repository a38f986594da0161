// Finds texts outside the catalog: in the markup of components, in attributes that people see or hear, and in strings.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "svelte/compiler";
import ts from "typescript";
import { expect, test } from "vitest";

/** A list of names of domains. */
const LISTS = new Set([join("view", "conversation", "domains.ts")]);

const root = fileURLToPath(new URL("..", import.meta.url));

const sources = ["model", "net", "platform", "protocol", "view", "worker"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((f) => join(folder, f)),
  )
  .concat("main.ts")
  .filter((file) => /\.(?:ts|svelte)$/u.test(file) && !/test/u.test(file) && !LISTS.has(file));

/** Attributes and properties whose values people see or hear. */
const SPOKEN =
  /^(?:aria-(?:label|description|placeholder|roledescription|valuetext)|alt|label|placeholder|title|what|hint|error|sentence|note)$/u;
/** Names of keys, which a comparison with a pressed key has. */
const KEYS =
  /^(?:Arrow(?:Up|Down|Left|Right)|Enter|Escape|Tab|Home|End|Context ?Menu|Page(?:Up|Down)|Backspace|Delete|F\d+)$/u;
/** Calls whose strings only developers and programs read. */
const NOT_FOR_PEOPLE =
  /^(?:console\.\w+|.*\.(?:report|dropped|closest|matches|postMessage)|report|end|super|new (?:\w*(?:Error|Malformed|Missing|Refused|Problem|Ended|Lost|Full|Silent)|Fields|Outdated))$/u;
/** Strings that look like words, but are part of a protocol or a format. */
const ALLOWED = ["Bearer …", "Files"];

/** A list of selectors, of which at least one names an attribute. */
const SELECTORS = /^(?:[a-z]*(?:\[[a-z-]+(?:='[^']*')?\])?(?:, |$))+$/u;

const letters = (words: string): boolean => /\p{L}/u.test(words);
/** Whether a string looks like words for people: a capitalized word, or several words. Identifiers and codes do not. */
const prose = (words: string): boolean =>
  (/^\p{Lu}(?:\p{Ll}+(?:[.,:?…]|$)|\p{Ll}* )/u.test(words) || /\p{L}[\p{L}’,]+ \p{L}{2,}/u.test(words)) &&
  !KEYS.test(words) &&
  !(words.includes("[") && SELECTORS.test(words));

/** Whether a node is part of something that only developers and programs read. */
function notForPeople(node: ts.Node | undefined): boolean {
  if (!node) return false;
  return (
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node) ||
    ts.isTypeNode(node) ||
    (ts.isCallExpression(node) && NOT_FOR_PEOPLE.test(node.expression.getText())) ||
    (ts.isNewExpression(node) && NOT_FOR_PEOPLE.test(`new ${node.expression.getText()}`)) ||
    (ts.isPropertyDeclaration(node) && node.name.getText() === "name") || // the name of a class of errors
    notForPeople(node.parent)
  );
}

/** Returns the strings of a program that look like words for people. */
function inCode(code: string): string[] {
  const found: string[] = [];
  const file = ts.createSourceFile("x.ts", code, ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
      const words = ts.isTemplateExpression(node)
        ? [node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join("…")
        : node.text;
      if (prose(words) && !ALLOWED.includes(words) && !notForPeople(node)) found.push(words);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

interface Node {
  readonly type: string;
  readonly name?: string;
  readonly data?: string;
  readonly value?: unknown;
  readonly start: number;
  readonly end: number;
  readonly expression?: { readonly start: number; readonly end: number } | null;
}

/** Returns the texts in the markup of a component. */
function inMarkup(code: string): string[] {
  const found: string[] = [];
  /** The strings that an expression may result in. */
  const results = (start: number, end: number): void => {
    const file = ts.createSourceFile("x.ts", `(${code.slice(start, end)})`, ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node): void => {
      if (ts.isConditionalExpression(node)) {
        visit(node.whenTrue);
        visit(node.whenFalse);
      } else if (ts.isTemplateExpression(node)) {
        const words = [node.head.text, ...node.templateSpans.map((span) => span.literal.text)];
        found.push(...words.filter(letters));
      } else if (ts.isStringLiteralLike(node)) {
        if (letters(node.text)) found.push(node.text);
      } else if (ts.isParenthesizedExpression(node) || ts.isBinaryExpression(node) || ts.isExpressionStatement(node)) {
        ts.forEachChild(node, visit);
      }
    };
    file.statements.forEach(visit);
  };
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (typeof node !== "object" || node === null || !("type" in node)) return;
    const { type, name = "", data = "", start, end } = node as Node;
    if (type === "Text" && letters(data)) found.push(data.trim());
    if (type === "ExpressionTag") results(start + 1, end - 1);
    if (type === "Attribute" && !SPOKEN.test(name)) return; // its strings are checked as code
    if (type === "Comment" || type === "StyleDirective") return;
    for (const [key, child] of Object.entries(node)) if (key !== "expression") visit(child);
  };
  visit(parse(code, { modern: true }).fragment);
  return found;
}

/** Returns the code in a component: its scripts and the expressions in its markup. */
function codeOf(component: string): string {
  const { instance, module, fragment } = parse(component, { modern: true });
  const parts = [instance, module].map((script) => {
    const content = script?.content as unknown as { start: number; end: number } | undefined;
    return content ? component.slice(content.start, content.end) : "";
  });
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (typeof node !== "object" || node === null || !("type" in node)) return;
    const { type, start, end, expression } = node as Node;
    if (type === "ConstTag") parts.push(`${component.slice(start + 2, end - 1)};`);
    if (expression) parts.push(`(${component.slice(expression.start, expression.end)});`);
    for (const [key, child] of Object.entries(node)) if (key !== "expression") visit(child);
  };
  visit(fragment);
  return parts.join("\n");
}

test("the search finds texts in markup, attributes and code, and nothing else", () => {
  const component = `
    <script lang="ts">
      import Some from "./Some thing here.svelte";
      const words = "Save this"; const code = "not_found"; if (event.key === "Escape") throw new Error("Not for people");
      console.error("Not for people either"); platform.report("it could not be read");
      const greeting = \`Hello \${name}\`;
    </script>
    <!-- A comment with words. -->
    <p class="some class" aria-label="Spoken">Hello, {name}{on ? "yes" : text.no}{on ? "" : " · "}</p>
    <input placeholder={on ? "typed" : ""} type="text" onclick={() => say("Saved now")} title={text.title} />
    {#if on}{@const one = "One more"}<Field label="Name" kind="button primary" />{@render row("A row")}{/if}
    {#each ["In a list"] as item}{item}{/each}`;
  expect(inMarkup(component)).toEqual(["Spoken", "Hello,", "yes", "typed", "Name"]);
  expect(inCode(codeOf(component))).toEqual(["Save this", "Hello …", "Saved now", "One more", "A row", "In a list"]);
});

test("every text is in the catalog", () => {
  expect(sources.length).toBeGreaterThan(150);
  const found = sources.flatMap((file) => {
    const code = readFileSync(join(root, file), "utf8");
    const texts = file.endsWith(".svelte") ? [...inMarkup(code), ...inCode(codeOf(code))] : inCode(code);
    return texts.map((words) => `${file}: ${words}`);
  });
  expect(found).toEqual([]);
});
