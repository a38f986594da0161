import { afterEach, expect, test, vi } from "vitest";
import { noteQuiet, noteSound, NO_QUIET } from "../../model/push/quiet";
import { Household, type Tab } from "../../model/testing/household";
import { announce } from "./announce";

const ALICE = "aliceUid0001";

/** An output that begins, or does not because the page was never used, and records the pitches. */
class FakeAudio {
  static allowed = true;
  static played: number[] = [];
  state = "suspended";
  currentTime = 5;
  destination = {};
  async resume(): Promise<void> {
    if (!FakeAudio.allowed) return await new Promise(() => undefined);
    this.state = "running";
  }
  async suspend(): Promise<void> {
    this.state = "suspended";
  }
  createOscillator(): unknown {
    const frequency = {
      setValueAtTime: (hz: number) => FakeAudio.played.push(hz),
      exponentialRampToValueAtTime: () => undefined,
    };
    return { frequency, connect: (next: unknown) => next, start: () => undefined, stop: () => undefined };
  }
  createGain(): unknown {
    const gain = { setValueAtTime: () => undefined, exponentialRampToValueAtTime: () => undefined };
    return { gain, connect: (next: unknown) => next };
  }
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const message = { conversation: "c", key: "1.b", from: "b", name: "Bob", body: "hello", reaction: "", hidden: true };

async function notifying(): Promise<{ tab: Tab; show: (about?: object) => Promise<string[]> }> {
  const tab = await new Household().user(ALICE);
  tab.platform.permission = "granted";
  const show = async (about: object = {}): Promise<string[]> => {
    await announce(tab.chat(), tab.app.attention, { ...message, ...about }, () => undefined);
    const { shown } = tab.platform;
    tab.platform.shown = [];
    return shown.map(({ title, body, silent }) => `${title}: ${body}${silent ? ", silent" : ""}`);
  };
  return { tab, show };
}

test("a message is notified of unless it is quiet", async () => {
  const { tab, show } = await notifying();
  expect(await show()).toEqual(["Bob: hello"]);
  expect(await show({ name: "" })).toEqual(["New message: hello"]);
  const now = tab.platform.clock.now();
  noteQuiet(tab.platform.notes, { ...NO_QUIET, until: now + 1_000 });
  expect(await show()).toEqual([]);
  noteQuiet(tab.platform.notes, { ...NO_QUIET, until: now });
  expect(await show()).toEqual(["Bob: hello"]);
});

test("a sound of ours replaces that of the system, if the browser plays it", async () => {
  vi.stubGlobal("AudioContext", FakeAudio);
  const { tab, show } = await notifying();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  noteSound(tab.platform.notes, "none");
  expect(await show()).toEqual(["Bob: hello, silent"]);
  noteSound(tab.platform.notes, "drop");
  FakeAudio.allowed = false;
  const shown = show();
  await vi.advanceTimersByTimeAsync(500);
  expect(await shown).toEqual(["Bob: hello"]);
  expect(FakeAudio.played).toEqual([]);
  FakeAudio.allowed = true;
  expect(await show()).toEqual(["Bob: hello, silent"]);
  expect(FakeAudio.played).toEqual([440]);
  // A reaction has none.
  expect(await show({ reaction: "👍" })).toEqual(["Bob: Reacted 👍 to “hello”, silent"]);
  expect(FakeAudio.played).toEqual([440]);
});
