import { afterEach, describe, expect, test, vi } from "vitest";
import { ApiProblem } from "../../net/problem";
import type { HttpAnswer } from "../../platform/platform";
import { FakeClock } from "../../platform/testing/clock";
import type { LateParts } from "../interface/late";
import { Pictures } from "./pictures";

const picture = new Blob(["pixels"], { type: "image/webp" });

/** Pictures on a fake server, which `answer` replaces, and a cache in memory. */
function setUp() {
  const clock = new FakeClock(0, settle);
  const kept = new Map<string, Blob>();
  const asked: string[] = [];
  const server = { answer: (): Promise<Blob> => Promise.resolve(picture) };
  const parts = {
    platform: { clock },
    http: {
      async answer({ path }: { path: string }): Promise<HttpAnswer> {
        asked.push(path);
        return { status: 200, header: () => null, body: "", blob: await server.answer() };
      },
    },
  } as unknown as LateParts;
  const blobs = {
    get: (key: string) => Promise.resolve(kept.get(key) ?? null),
    put: (key: string, blob: Blob) => Promise.resolve(void kept.set(key, blob)),
  };
  return { clock, kept, asked, server, open: () => new Pictures(parts, blobs) };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

afterEach(() => vi.restoreAllMocks());

describe("pictures", () => {
  test("are loaded once, by version, and kept on the device", async () => {
    const { asked, kept, open } = setUp();
    const pictures = open();
    const shown = pictures.picture("bob", "v1");
    expect(shown.get()).toBe("");
    pictures.picture("bob", "v1");
    await settle();
    expect(shown.get()).toMatch(/^blob:/u);
    expect(pictures.picture("bob", "v2")).not.toBe(shown);
    await settle();
    expect(asked).toEqual(["users/bob/picture/v1", "users/bob/picture/v2"]);
    expect([...kept.keys()]).toEqual(["bob/v1", "bob/v2"]);
    // The next page finds them on the device.
    const again = open().picture("bob", "v1");
    await settle();
    expect(again.get()).toMatch(/^blob:/u);
    expect(asked.length).toBe(2);
  });

  test("that could not be loaded are tried again while they are shown, after the pause of the server", async () => {
    const { asked, clock, server, open } = setUp();
    server.answer = () => Promise.reject(new ApiProblem(429, "rate_limited", "", { retryAfterMs: 60_000 }));
    const shown = open().picture("bob", "v1");
    const end = shown.subscribe(() => undefined);
    await settle();
    await clock.advance(59_000);
    await settle();
    expect(asked.length).toBe(1);
    server.answer = () => Promise.resolve(picture);
    await clock.advance(1_000);
    await settle();
    expect(asked.length).toBe(2);
    expect(shown.get()).toMatch(/^blob:/u);
    end();
  });

  test("that do not exist any more are not asked for again", async () => {
    const { asked, clock, server, open } = setUp();
    server.answer = () => Promise.reject(new ApiProblem(404, "picture_not_found", ""));
    const shown = open().picture("bob", "v1");
    const end = shown.subscribe(() => undefined);
    await settle();
    await clock.advance(3_600_000);
    await settle();
    expect(asked.length).toBe(1);
    expect(shown.get()).toBe("");
    end();
  });

  test("leave memory if many others were shown later, unless they are on the screen", async () => {
    const revoked = vi.spyOn(URL, "revokeObjectURL");
    const { open } = setUp();
    const pictures = open();
    const look = (i: number) => pictures.picture(`p${i}`, "v").subscribe(() => undefined);
    const first = look(0);
    for (let i = 1; i < 300; i++) {
      const end = look(i);
      await settle();
      end();
    }
    expect(revoked.mock.calls.length).toBeGreaterThan(90);
    expect(pictures.picture("p0", "v").get()).toMatch(/^blob:/u);
    expect(revoked).not.toHaveBeenCalledWith(pictures.picture("p0", "v").get());
    first();
  });
});
