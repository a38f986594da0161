import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { checkBody, validMessageId, validUid } from "./chat";
import { decodeFrame, encodeFrame } from "./codec";
import { Fields, Malformed } from "./fields";
import { type ClientFrame, LIMITS } from "./frames";

interface Golden {
  readonly name: string;
  readonly frame: unknown;
  readonly valid: boolean;
  readonly code?: string;
  readonly ignored?: boolean;
}

function golden(file: string): Golden[] {
  const url = new URL(`../../../realtime/wire/testdata/frames/${file}`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as Golden[];
}

const text = (g: Golden): string => (typeof g.frame === "string" ? g.frame : JSON.stringify(g.frame));

/** Whether a frame has an event whose fields ./changes reads (see changes.test.ts). */
function isChange(frame: unknown): frame is { event: { type: string } } {
  const event = (frame as { event?: { type?: unknown } } | null)?.event;
  return event?.type === "change" || event?.type === "changed";
}

describe("frames of the server", () => {
  for (const g of golden("server.json")) {
    if (isChange(g.frame)) {
      const { event } = g.frame;
      test(g.name, () => {
        const change = new Fields("frame.event", event);
        expect(decodeFrame(text(g))).toMatchObject({ event: { type: event.type, change } });
      });
      continue;
    }
    test(g.name, () => {
      if (!g.valid) {
        expect(() => decodeFrame(text(g))).toThrow(Malformed);
        return;
      }
      const frame = decodeFrame(text(g));
      const unknown = frame.type === "unknown" || (frame.type === "event" && frame.event.type === "unknown");
      expect(unknown).toBe(g.ignored === true);
      const { event } = g.frame as { event?: { changes?: unknown[] } };
      if (frame.type === "event" && "changes" in frame.event) expect(frame.event.changes).toEqual(event?.changes ?? []);
      if (frame.type === "event" && "message" in frame.event && typeof frame.event.message === "object") {
        expect((g.frame as { event: unknown }).event).toMatchObject(frame.event.message);
      }
    });
  }
});

test("a welcome says whether the server accepts changes", () => {
  for (const g of golden("server.json").filter((w) => /^welcome of a server/.test(w.name)))
    expect(decodeFrame(text(g))).toMatchObject({ limits: { changes: true } });
});

test("a welcome has the limits of its server, and the usual ones for those that it does not send", () => {
  const welcome = (limits: object): unknown =>
    decodeFrame(JSON.stringify({ type: "welcome", uid: "u", now: 1, resumed: true, limits }));
  const old = { body: 8000, frame: 65536, unacked: 256, ahead_ms: 5000, max_age_ms: 2592000000, watch: 100 };
  expect(welcome(old)).toMatchObject({ limits: LIMITS });
  const all = {
    ...old,
    body: 1,
    watch: 2,
    sockets: 3,
    stranger_messages: 4,
    stranger_bytes: 5,
    new_people: 6,
    later: "x",
  };
  expect(welcome(all)).toMatchObject({
    limits: { body: 1, watch: 2, sockets: 3, strangerMessages: 4, strangerBytes: 5, newPeople: 6 },
  });
  expect(() => welcome({ ...old, sockets: "many" })).toThrow(Malformed);
});

describe("frames of the client", () => {
  for (const g of golden("client.json")) {
    // The client's frames mean the same as the golden files that are valid frames.
    if (!g.valid || g.ignored === true || typeof g.frame !== "object") continue;
    test(g.name, () => {
      expect(JSON.parse(encodeFrame(g.frame as ClientFrame))).toEqual(g.frame);
    });
  }
  const sends = golden("client.json").filter(
    (g) => typeof g.frame === "object" && (g.frame as { type?: unknown }).type === "send",
  );
  test("there are golden send frames", () => expect(sends.length).toBeGreaterThan(10));
  for (const g of sends) {
    const f = g.frame as { id?: unknown; to?: unknown; body?: unknown };
    // A valid frame with a code can be read and is then refused with that code.
    if (typeof f.body === "string" && g.valid) {
      test(`checkBody agrees: ${g.name}`, () => {
        expect(checkBody(f.body as string)).toBe(g.code?.startsWith("body_") ? g.code : null);
      });
    }
    if (g.code === "id_invalid") test(g.name, () => expect(validMessageId(f.id as string)).toBe(false));
    if (g.code === "recipient_invalid") test(g.name, () => expect(validUid(f.to as string)).toBe(false));
  }
});
