import { expect, test } from "vitest";
import type { Call } from "../net/http";
import { ApiProblem } from "../net/problem";
import type { LateParts } from "./interface/late";
import { confirmWarning, newReportId, readWarning, sendReport } from "./report";
import { Household } from "./testing/household";
import { FakeHttp } from "./testing/http";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const WITH_BOB = `${ALICE}~${BOB}`;

interface Reporter {
  readonly parts: LateParts;
  /** Of the messages, oldest first. */
  readonly keys: readonly string[];
  readonly calls: readonly Call[];
  /** How often the own profile was loaded again. */
  readonly reloads: () => number;
}

/** Returns a tab of Alice, to whom Bob has written "one" and "two". Its calls get `content`, or the error. */
async function reporter(content: unknown = {}): Promise<Reporter> {
  const house = new Household();
  const tab = await house.user(ALICE);
  const bob = await house.user(BOB);
  for (const body of ["one", "two"]) {
    await bob.chat().conversation(ALICE).send(body);
    await house.pass(500);
  }
  const { late } = tab.chat();
  const rows = await late.store.read((tx) => tx.messagesBefore(WITH_BOB, null, 10));
  const http = new FakeHttp(() => {
    if (content instanceof Error) throw content;
    return content;
  });
  let reloads = 0;
  const parts = { ...late, http, reload: async () => void reloads++ };
  return { parts, keys: rows.map(({ key }) => key).reverse(), calls: http.calls, reloads: () => reloads };
}

const REPORT = { about: BOB, reason: "spam", comment: "He writes to everybody.", conversation: WITH_BOB } as const;

test("a report has copies of the chosen messages as they are here, without those that have gone", async () => {
  const { parts, keys, calls } = await reporter();
  const rows = await parts.store.read((tx) => tx.messagesBefore(WITH_BOB, null, 10));
  rows.reverse();
  const id = newReportId(parts);
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(await sendReport(parts, { ...REPORT, id, keys: [...keys, "gone"] })).toEqual({ ok: true, value: undefined });
  expect(calls).toEqual([
    {
      method: "POST",
      path: "me/reports",
      body: {
        id,
        about: BOB,
        reason: "spam",
        comment: "He writes to everybody.",
        messages: rows.map(({ id, at }, n) => ({ from: BOB, id, at, body: ["one", "two"][n] })),
      },
    },
  ]);
});

test("a report that is refused says why, so that it can be sent again under its id", async () => {
  const { parts, keys } = await reporter(new ApiProblem(429, "rate_limited", "", { retryAfterMs: 60_000 }));
  const id = newReportId(parts);
  expect(newReportId(parts)).not.toBe(id);
  const outcome = await sendReport(parts, { ...REPORT, id, keys });
  expect(outcome).toMatchObject({ ok: false, problem: { code: "rate_limited", retryAfterMs: 60_000 } });
});

test.each([
  ["is shown", { uid: ALICE, warning: { at: 5, reason: "abuse" } }, { at: 5, reason: "abuse" }],
  ["has an unknown reason", { uid: ALICE, warning: { at: 5, reason: "later" } }, { at: 5, reason: "" }],
  ["is missing", { uid: ALICE }, null],
])("a warning that %s", async (_, profile, value) => {
  expect(await readWarning((await reporter(profile)).parts)).toEqual({ ok: true, value });
});

test("a malformed warning is a problem", async () => {
  const { parts } = await reporter({ uid: ALICE, warning: { reason: "abuse" } });
  expect(await readWarning(parts)).toMatchObject({ ok: false, problem: { code: "malformed" } });
});

test("a confirmed warning is confirmed on all devices, and the own profile is loaded again", async () => {
  const { parts, calls, reloads } = await reporter();
  expect((await confirmWarning(parts, { at: 5, reason: "spam" })).ok).toBe(true);
  expect(calls).toEqual([{ method: "DELETE", path: "me/warning", body: { at: 5 } }]);
  expect(reloads()).toBe(1);
});
