import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Change,
  type Changes,
  changedBody,
  changesOf,
  includesChanges,
  mergeChanges,
  noChanges,
  readChange,
  readChanges,
} from "./changes";
import { validEmoji } from "./emoji";
import table from "./emoji.json";
import { Fields, Malformed } from "./fields";

const shared = (path: string): string =>
  readFileSync(new URL(`../../../realtime/chat/${path}`, import.meta.url), "utf8");

interface Golden {
  readonly name: string;
  readonly key: string;
  readonly sent: string;
  readonly body: string;
  readonly changes: readonly Change[];
  readonly stored: readonly Changes[];
  readonly want: Changes;
}

const golden = JSON.parse(shared("testdata/changes.json")) as readonly Golden[];

function* orders<T>(list: readonly T[]): Generator<readonly T[]> {
  if (list.length === 0) yield [];
  for (const [i, first] of list.entries())
    for (const rest of orders([...list.slice(0, i), ...list.slice(i + 1)])) yield [first, ...rest];
}

describe("events with changes", () => {
  interface Frame {
    readonly name: string;
    readonly frame: { readonly event?: { readonly type?: unknown } };
    readonly valid: boolean;
  }
  const frames = (JSON.parse(shared("../wire/testdata/frames/server.json")) as readonly Frame[]).filter(
    (g) => typeof g.frame === "object" && /^changed?$/.test(String(g.frame?.event?.type)),
  );

  test.each(frames.map((g) => [g.name, g] as const))("%s", (_, g) => {
    if (g.valid) expect(g.frame.event).toMatchObject(readChange(new Fields("change", g.frame.event)));
    else expect(() => readChange(new Fields("change", g.frame.event))).toThrow(Malformed);
  });

  test("there are some", () => expect(frames.length).toBeGreaterThan(5));
});

test.each(golden.map((g) => [g.name, g] as const))("%s", (_, g) => {
  const live = g.changes.filter((c) => `${c.of.id}.${c.of.from}` === g.key).map(changesOf);
  for (const parts of orders([...g.stored, ...live])) {
    const sum = parts.reduce(mergeChanges, {});
    expect(sum).toEqual(g.want);
    for (const part of parts) expect(mergeChanges(sum, part)).toEqual(g.want);
    expect(changedBody(sum, g.sent)).toBe(g.body);
  }
});

describe("a sum", () => {
  const change = fc.record({
    id: fc.constantFrom("a", "b"),
    conversation: fc.constant("ann~ben"),
    from: fc.constantFrom("ann", "ben"),
    to: fc.constant(""),
    at: fc.integer({ min: 1, max: 3 }),
    accepted_at: fc.constant(1),
    of: fc.constant({ id: "m", from: "ann", at: 1 }),
    kind: fc.constantFrom("edit", "edit", "react", "react", "delete"),
    body: fc.constantFrom("x", "y", "\uff5e", "😀"),
    emoji: fc.constantFrom("", "👍", "🎉"),
  });
  const some = fc.array(change, { maxLength: 4 }).map((list) => list.map(changesOf).reduce(mergeChanges, {}));

  test("depends neither on order nor on grouping nor on repeats", () => {
    fc.assert(
      fc.property(some, some, some, (a, b, c) => {
        expect(mergeChanges(a, b)).toEqual(mergeChanges(b, a));
        expect(mergeChanges(mergeChanges(a, b), c)).toEqual(mergeChanges(a, mergeChanges(b, c)));
        expect(mergeChanges(a, a)).toEqual(a);
        expect(mergeChanges(a, {})).toEqual(a);
      }),
    );
  });
});

describe("the changes of a saved message", () => {
  test.each(golden.map((g) => [g.name, g.want] as const))("%s", (_, want) => {
    const read = readChanges(new Fields("changes", want));
    expect(read).toEqual(want);
    expect(noChanges(read)).toBe(Object.keys(want).length === 0);
    expect(includesChanges(read, want)).toBe(true);
    expect(includesChanges({}, want)).toBe(noChanges(want));
  });

  test("a malformed part is left out", () => {
    const place = { at: 2, id: "b" };
    expect(
      readChanges(
        new Fields("changes", {
          edited: { at: 1, id: "a" },
          deleted: 7,
          reactions: { ann: { ...place, emoji: "👍" }, ben: { id: "c" }, cem: 1 },
        }),
      ),
    ).toEqual({ reactions: { ann: { ...place, emoji: "👍" } } });
    expect(readChanges(new Fields("changes", { reactions: [], edited: { ...place, body: "x" } }))).toEqual({
      edited: { ...place, body: "x" },
    });
  });
});

describe("the table of emoji", () => {
  test("is that of the server", () => {
    expect(readFileSync(new URL("emoji.json", import.meta.url), "utf8")).toBe(shared("emoji.json"));
  });

  // A string, since TypeScript's target precedes the flag.
  const rgi = new RegExp("^\\p{RGI_Emoji}$", "v");

  test.runIf(Number(process.versions["unicode"]) >= Number(table.unicode))("has emoji that Unicode recommends", () => {
    expect(table.emoji.split(" ").filter((e) => !rgi.test(e))).toEqual([]);
  });

  test.each([
    ["👍", true],
    ["👍🏽", true],
    ["👩‍👩‍👧‍👦", true],
    ["❤", false],
    ["👍👍", false],
    ["ok", false],
    ["", false],
  ])("%j: %s", (text, valid) => expect(validEmoji(text)).toBe(valid));
});
