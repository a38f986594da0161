import { readdirSync, readFileSync } from "node:fs";
import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, test } from "vitest";
import { openIndexed } from "../platform/indexed";
import { play, type Scenario } from "./testing/scenario";

const folder = new URL("../../../realtime/wire/testdata/scenarios/", import.meta.url);
const files = readdirSync(folder).filter((f) => f.endsWith(".json"));

test("there are scenarios", () => expect(files.length).toBeGreaterThan(5));

// A mutation tool plays each of them once, since the engine does not see the difference.
const kinds = process.env["PHOENIX_STORES"]?.split(",") ?? ["memory", "IndexedDB"];

describe.each(kinds)("scenarios, stored in %s", (kind) => {
  for (const file of files) {
    const scenario = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Scenario;
    test(`${file}: ${scenario.name}`, async () => {
      const factory = new IDBFactory();
      await play(scenario, kind === "memory" ? undefined : (name, shape) => openIndexed(factory, name, shape, 5000));
    });
  }
});
