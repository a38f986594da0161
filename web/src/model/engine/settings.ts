/**
 * Sends the user's choices about conversations and messages until the server has answered them, and loads those that
 * this device has missed. The code is loaded when there are any.
 */
import { Backoff } from "../../net/backoff";
import { ApiProblem } from "../../net/problem";
import type { Cancel } from "../../platform/platform";
import { loadAllSettings, putSetting } from "../../net/settings";
import { applyListed } from "../store/history";
import { applySettings, freezeSetting, revertSetting } from "../store/sentSettings";
import { applySetting } from "../store/settings";
import { contextOf, type EngineParts } from "./ports";

export { Answers } from "./answers";

export class SettingSender {
  private readonly parts: EngineParts;
  private readonly backoff: Backoff;
  private timer: Cancel | null = null;
  private running = false;
  private again = false;
  private stopped = false;

  constructor(parts: EngineParts) {
    this.parts = parts;
    this.backoff = new Backoff(parts.platform.random, 2_000, 5 * 60_000);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.();
  }

  wake(): void {
    if (this.running) this.again = true;
    else if (!this.stopped) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    this.timer?.();
    this.timer = null;
    try {
      do {
        this.again = false;
        for (const row of await this.parts.store.read((tx) => tx.unsentSettings())) {
          if (this.stopped) return;
          await this.send(row.key);
        }
      } while (this.again);
      this.backoff.reset();
    } catch (err) {
      if (!(err instanceof ApiProblem && err.status === 0))
        this.parts.platform.report("a setting could not be sent", err);
      const asked = err instanceof ApiProblem ? (err.retryAfterMs ?? 0) : 0;
      this.timer = this.parts.platform.clock.after(asked + this.backoff.next(), () => this.wake());
    } finally {
      this.running = false;
    }
  }

  private async send(key: string): Promise<void> {
    const { http, store } = this.parts;
    const row = await store.write((tx) => freezeSetting(tx, contextOf(this.parts), key));
    if (!row) return;
    try {
      const counts = await putSetting(http, row);
      await store.write((tx) => applySetting(tx, contextOf(this.parts), counts));
    } catch (err) {
      if (!(err instanceof ApiProblem) || err.retryable) throw err;
      // The client offers nothing that the server refuses, unless two devices choose at the same time.
      this.parts.platform.report("a setting was refused", err);
      await store.write((tx) => revertSetting(tx, contextOf(this.parts), row));
    }
  }
}

/** Loads all settings, and the pinned conversations that this device does not have. */
export async function loadSettings(parts: EngineParts): Promise<void> {
  const { archive, http, store, time } = parts;
  const askedAt = time.now();
  const settings = await loadAllSettings(http);
  const missing = await store.write(async (tx) => {
    await applySettings(tx, contextOf(parts), settings, askedAt);
    const pinned = settings.filter(({ kind, value }) => kind === "pin" && value === 1);
    const rows = await Promise.all(pinned.map(({ conversation }) => tx.conversation(conversation)));
    return rows.some((row) => !row?.preview);
  });
  if (!missing) return;
  const listed = await archive.conversations(null, { pinned: "true" });
  await store.write(async (tx) => {
    for (const item of listed.items) await applyListed(tx, contextOf(parts), item);
  });
}
