import { relative } from "node:path";
import type { Plugin } from "vite";

/**
 * Compiles Svelte without hydration, the code that takes over a page rendered by a server. No page here is. Svelte
 * decides by a variable, which a minifier cannot remove; here it becomes a constant. Fails the build if Svelte's file
 * has another form.
 */
export function withoutHydration(): Plugin {
  const changes = [
    ["export let hydrating = false;", "export const hydrating = false;"],
    ["\thydrating = value;\n", ""],
  ] as const;
  let found = false;
  return {
    name: "without-hydration",
    apply: "build",
    transform: {
      filter: { id: /\/svelte\/src\/internal\/client\/dom\/hydration\.js$/ },
      handler(code) {
        for (const [from, to] of changes) {
          if (!code.includes(from)) throw new Error(`hydration.js of Svelte has no ${JSON.stringify(from)} any more`);
          code = code.replace(from, to);
        }
        found = true;
        return { code, map: null };
      },
    },
    buildEnd(error) {
      if (!error && !found) throw new Error("Svelte has no file hydration.js where build/svelte.ts looks for it");
    },
  };
}

const classes = new Map<string, string>();

/**
 * Returns the class that keeps the styles of a component to itself. The usual ones are longer, and so is the
 * first load with them.
 */
export function cssHash({ hash, filename }: { hash: (text: string) => string; filename: string }): string {
  const name = `s${hash(relative(import.meta.dirname, filename)).slice(0, 4)}`;
  const other = classes.get(name);
  if (other !== undefined && other !== filename)
    throw new Error(`${filename} and ${other} would share the class ${name}: make it longer.`);
  classes.set(name, filename);
  return name;
}
