/** Pictures of users: loaded when they are shown, and kept on the device. */
import { ApiProblem } from "../../net/problem";
import { type Blobs, browserBlobs } from "../../platform/blobs";
import type { LateParts } from "../interface/late";
import { type Readable, Value } from "../observable";

/** A picture that could not be loaded is tried again after this. */
const RETRY_MS = 30_000;
/** The most pictures in memory that are not on the screen. */
const MOST_IDLE = 200;

interface Entry {
  readonly value: Value<string>;
  watched: boolean;
}

export class Pictures {
  private readonly parts: LateParts;
  private readonly blobs: Blobs;
  /** By uid and version. The last ones were shown last. */
  private readonly entries = new Map<string, Entry>();

  constructor(parts: LateParts, blobs: Blobs = browserBlobs(parts.database)) {
    this.parts = parts;
    this.blobs = blobs;
  }

  /** The address of a picture in this page; empty until it is loaded. */
  picture(uid: string, version: string): Readable<string> {
    const key = `${uid}/${version}`;
    let entry = this.entries.get(key);
    if (!entry) {
      const value = new Value("", (watched) => this.watch(key, watched));
      entry = { value, watched: false };
      this.entries.set(key, entry);
      void this.load(uid, version);
    }
    return entry.value;
  }

  private async load(uid: string, version: string): Promise<void> {
    const key = `${uid}/${version}`;
    try {
      let blob = await this.blobs.get(key);
      if (!blob) {
        const path = `users/${encodeURIComponent(uid)}/picture/${encodeURIComponent(version)}`;
        blob = (await this.parts.http.answer({ method: "GET", path, binary: true })).blob ?? null;
        if (blob) await this.blobs.put(key, blob);
      }
      if (blob) this.entries.get(key)?.value.set(URL.createObjectURL(blob));
    } catch (err) {
      const wait = err instanceof ApiProblem && err.status !== 404 ? Math.max(RETRY_MS, err.retryAfterMs ?? 0) : null;
      // Otherwise it was replaced meanwhile, or the sign-in has ended.
      if (wait !== null)
        this.parts.platform.clock.after(wait, () => {
          if (this.entries.get(key)?.watched) void this.load(uid, version);
          else this.entries.delete(key);
        });
    }
  }

  /** Notes whether a picture is on the screen, and forgets those that were shown longest ago. */
  private watch(key: string, watched: boolean): void {
    const entry = this.entries.get(key);
    if (!entry) return;
    entry.watched = watched;
    this.entries.delete(key);
    this.entries.set(key, entry);
    if (this.entries.size <= MOST_IDLE) return;
    const idle = [...this.entries].filter(([, other]) => !other.watched);
    for (const [old, { value }] of idle.slice(0, Math.max(0, idle.length - MOST_IDLE))) {
      this.entries.delete(old);
      URL.revokeObjectURL(value.get());
    }
  }
}
