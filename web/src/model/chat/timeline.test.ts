import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type MessageRow, WAITING } from "../store/rows";
import { compareRows, TimelineRows } from "./timeline";

const ME = "aliceUid0001";
const BOB = "bobUid000002";
const NOW = 1_795_348_800_000_000;

function row(n: number, change: Partial<MessageRow> = {}): MessageRow {
  const at = change.at === undefined ? NOW + n : change.at;
  return {
    id: `id-${String(n).padStart(6, "0")}`,
    key: `id-${String(n).padStart(6, "0")}.${BOB}`,
    conversation: `${ME}~${BOB}`,
    from: BOB,
    to: ME,
    body: `message ${n}`,
    replyTo: null,
    place: at ?? WAITING + n,
    status: "received",
    acceptedAt: at,
    deliveredAt: null,
    refusal: null,
    typedAt: null,
    ...change,
    at,
  };
}

const timeline = (quoted: (id: string) => MessageRow | undefined = () => undefined): TimelineRows =>
  new TimelineRows({ uid: ME, ofLocal: (ms) => ms, quoted });

describe("the rows of a timeline", () => {
  test("are in one order, each once, however they are added, changed and deleted", () => {
    const step = fc.record({
      n: fc.nat({ max: 30 }),
      at: fc.nat({ max: 8 }),
      waiting: fc.boolean(),
      gone: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const rows = timeline();
        const truth = new Map<string, MessageRow>();
        for (const { n, at, waiting, gone } of steps) {
          const next = row(n, { at: waiting ? null : NOW + at });
          if (gone) {
            rows.delete(next.key);
            truth.delete(next.key);
          } else {
            rows.put([next]);
            truth.set(next.key, next);
          }
          const want = [...truth.values()].sort(compareRows).map((r) => r.key);
          expect(rows.items().map((m) => m.key)).toEqual(want);
          expect([...rows.rows()].map((r) => r.key)).toEqual(want);
          expect(rows.size).toBe(want.length);
        }
      }),
    );
  });

  test("contain a message once that is twice in a page", () => {
    const rows = timeline();
    rows.put([row(7)]);
    rows.put([row(1), row(3), row(1, { at: NOW + 5 })]);
    expect(rows.items().map((m) => m.body)).toEqual(["message 3", "message 1", "message 7"]);
  });

  test("keep unchanged items as the same objects, and the array if nothing changed", () => {
    const rows = timeline();
    rows.put([row(1), row(2, { from: ME, status: "delivered", deliveredAt: NOW }), row(3)]);
    const before = rows.items();
    rows.put([row(1), row(3)]);
    expect(rows.items()).toBe(before);
    rows.mark({ myRead: 0, otherRead: NOW + 2 });
    const after = rows.items();
    expect(after.map((m) => m.state)).toEqual(["delivered", "read", "delivered"]);
    expect([after[0] === before[0], after[1] === before[1], after[2] === before[2]]).toEqual([true, false, true]);
  });

  test("give the server's time if it differs from the sender's by more than 10 minutes", () => {
    const rows = timeline();
    rows.put([row(1, { acceptedAt: NOW + 601_000_000 }), row(2, { acceptedAt: NOW + 599_000_000 })]);
    expect(rows.items().map((m) => m.acceptedTime)).toEqual([(NOW + 601_000_000) / 1000, null]);
  });

  test("fill in a quote when the quoted message becomes known", () => {
    const known = new Map<string, MessageRow>();
    const rows = timeline((id) => known.get(id));
    rows.put([row(5, { replyTo: row(1).key })]);
    expect(rows.items()[0]?.quote).toEqual({ key: row(1).key, mine: null, body: null });
    known.set(row(1).key, row(1, { from: ME }));
    rows.requote(row(1).key);
    expect(rows.items()[0]?.quote).toEqual({ key: row(1).key, mine: true, body: "message 1" });
  });

  test("are compared a few times each, however many pages are loaded before them", () => {
    const rows = timeline();
    const total = 5_000;
    let compared = 0;
    for (let end = total; end > 0; end -= 50) {
      rows.put(
        Array.from({ length: 50 }, (_, i) => {
          const one = row(end - 50 + i);
          return Object.defineProperty(one, "place", { get: () => (compared++, one.at) });
        }),
      );
    }
    expect(rows.size).toBe(total);
    expect(rows.items()[0]?.body).toBe("message 0");
    expect(compared).toBeLessThan(10 * total);
  });
});
