import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

type Imports = ReadonlyMap<string, readonly string[]>;

/** Maps each file to the files that it imports, type imports included. Packages are left out. */
function importsOf(folders: readonly string[]): Imports {
  const files = new Set(
    folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => /\.(ts|mjs|svelte)$/.test(file))
        .map((file) => join(folder, file)),
    ),
  );
  const imports = new Map<string, readonly string[]>();
  for (const file of files) {
    const found = readFileSync(join(root, file), "utf8").matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
    imports.set(
      file,
      Array.from(found, ([, path]) => relative(root, join(root, dirname(file), path ?? "")))
        .map((path) => [path, `${path}.ts`, join(path, "index.ts")].find((name) => files.has(name)))
        .filter((name) => name !== undefined),
    );
  }
  return imports;
}

/**
 * Returns the first import cycle that a depth-first walk finds, as a list of files that begins and ends with the same
 * file, or null if there is no cycle.
 */
function cycleIn(imports: Imports): readonly string[] | null {
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): readonly string[] | null => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const next of imports.get(file) ?? []) {
      const cycle = visit(next, [...way, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return null;
  };
  for (const file of imports.keys()) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return null;
}

test("there is no import cycle", () => {
  const imports = importsOf(["src", "e2e", "fault", "measure", "screenshots", "build"]);
  expect(imports.get("src/main.ts")).toContain("src/model/index.ts");
  expect(imports.get("src/main.ts")).toContain("src/view/App.svelte");
  expect(cycleIn(imports)).toBeNull();
});

test("an import cycle is found", () => {
  const imports = new Map([
    ["a", ["b", "c"]],
    ["b", []],
    ["c", ["d"]],
    ["d", ["b", "c"]],
  ]);
  expect(cycleIn(imports)).toEqual(["c", "d", "c"]);
});
