/** The code of changes is loaded by the first transaction that needs it. */
import { afterEach, expect, test, vi } from "vitest";
import { FakeClock } from "../../platform/testing/clock";
import { FakePlatform, settle } from "../../platform/testing/fake";
import { changeRules } from "./rules";
import { CodeMissing, LocalStore } from "./store";

afterEach(() => {
  vi.doUnmock("./changes");
  vi.resetModules();
});

test("a transaction whose code cannot be loaded writes nothing, and works once it can", async () => {
  const store = await LocalStore.open(new FakePlatform({ clock: new FakeClock(0, settle) }), "aliceUid0001");
  const write = (): Promise<void> =>
    store.write(async (tx) => {
      await tx.putMeta({ name: "probe", at: 1 });
      changeRules(tx);
    });
  vi.doMock("./changes", () => {
    throw new Error("offline");
  });
  await expect(write()).rejects.toBeInstanceOf(CodeMissing);
  expect(await store.read((tx) => tx.meta("probe"))).toBeUndefined();
  vi.doUnmock("./changes");
  await write();
  expect(await store.read((tx) => tx.meta("probe"))).toMatchObject({ at: 1 });
});
