import { beforeEach, expect, test } from "vitest";
import { FakePush } from "../../platform/testing/push";
import { Household, type Tab } from "../testing/household";
import { PushRegistration } from "./registration";

const ALICE = "aliceUid0001";
const DAY_MS = 24 * 3_600_000;

let house: Household;
let alice: Tab;
let push: FakePush;
let registration: PushRegistration;
/** The calls of /me/push, and the codes with which the next ones fail. */
let calls: { method: string; endpoint?: string; preview?: boolean; device?: string }[];
let failing: boolean;
let key: string;

function signIn(refreshToken: string, idToken = "i"): void {
  alice.platform.notes.set("phoenix.sign-in", JSON.stringify({ uid: ALICE, idToken, refreshToken, endsAt: 1 }));
}

beforeEach(async () => {
  house = new Household();
  calls = [];
  failing = false;
  key = "k1";
  house.server.archive.before = (_uid, { method, body }, path) => {
    // Tests of pushes are in delivery.test.ts.
    if (path === "/api/me/push/test") return { status: 204, header: () => null, body: "" };
    if (path !== "/api/me/push") return null;
    const sent = JSON.parse(body ?? "{}") as { endpoint?: string; preview?: boolean; device?: string };
    calls.push({ method, ...sent });
    const answer = failing ? { code: "unavailable", detail: "" } : { public_key: key, devices: [] };
    return { status: failing ? 503 : 200, header: () => null, body: JSON.stringify(answer) };
  };
  alice = await house.user(ALICE);
  signIn("r1");
  push = new FakePush();
  registration = new PushRegistration(alice.chat().late, push);
});

const states = (): readonly [string, ...string[]] => [
  registration.state.get(),
  ...calls.splice(0).map(({ method, endpoint = "", preview }) => `${method} ${endpoint} ${preview ?? ""}`.trim()),
];
const row = (): Promise<unknown> => alice.chat().late.store.read((tx) => tx.meta("push"));
async function again(): Promise<readonly string[]> {
  await registration.keep();
  return states();
}

test("a browser is registered once, with the id of its device, and keeps what its worker needs", async () => {
  expect(await again()).toEqual(["off"]);
  await registration.turnOn(false);
  const device = await alice.chat().late.store.read((tx) => tx.meta("device"));
  expect(calls[1]?.device).toBe(device?.id);
  expect(states()).toEqual(["on", "GET", "PUT https://push.test/1 true"]);
  expect(await row()).toMatchObject({ key: "k1", signIn: expect.stringContaining("r1") as string });
  expect(await again()).toEqual(["on"]);
  // Another page of this browser.
  registration = new PushRegistration(alice.chat().late, push);
  await registration.turnOn(false);
  expect(states()).toEqual(["on"]);
});

test("it is registered again once a week, and when the browser, the sign-in or our key has changed", async () => {
  await registration.turnOn(true);
  states();
  await house.pass(5 * DAY_MS);
  expect(await again()).toEqual(["on"]);
  await house.pass(2 * DAY_MS);
  expect(await again()).toEqual(["on", "PUT https://push.test/1 true"]);

  signIn("r1", "i2");
  expect(await again()).toEqual(["on"]);
  expect(await row()).toMatchObject({ signIn: expect.stringContaining("i2") as string });
  signIn("r2");
  // The worker needs it once the page is hidden.
  alice.platform.setVisible(false);
  await house.pass(100);
  expect(states()).toEqual(["on", "PUT https://push.test/1 true"]);

  push.current = null;
  expect(await again()).toEqual(["on", "GET", "PUT https://push.test/2 true"]);
  await push.subscribe("another");
  key = "k2";
  expect(await again()).toEqual(["on", "GET", "PUT https://push.test/4 true"]);
  expect(push.current).toMatchObject({ key: "k2" });
});

test("pushes have no text if the user does not want that, also after a failure", async () => {
  await registration.turnOn(true);
  states();
  await registration.showText(false);
  expect(states()).toEqual(["on", "PUT https://push.test/1 false"]);
  failing = true;
  await registration.showText(true);
  expect(states()).toEqual(["failed", "PUT https://push.test/1 true"]);
  failing = false;
  registration = new PushRegistration(alice.chat().late, push);
  await house.pass(10);
  expect(registration.preview.get()).toBe(true);
  await registration.turnOn(false);
  expect(states()).toEqual(["on", "PUT https://push.test/1 true"]);
});

test("the server learns the quiet hours with the time zone, and the worker that there is no sound", async () => {
  const quiets: unknown[] = [];
  const { before } = house.server.archive;
  house.server.archive.before = (uid, request, path) => {
    if (request.method === "PUT") quiets.push((JSON.parse(request.body ?? "{}") as { quiet?: unknown }).quiet);
    return before?.(uid, request, path) ?? null;
  };
  await registration.setQuiet({ from: 1320, to: 420, until: 0 });
  await registration.turnOn(true);
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  const night = { from: 1320, to: 420 };
  failing = true;
  await registration.setQuiet({ ...night, until: 4_000 });
  await registration.setQuiet({ ...night, until: 5_000 });
  await house.pass(1_000);
  // The worker knows it all the same.
  expect(await row()).toMatchObject({ quiet: { ...night, until: 5_000 } });
  failing = false;
  registration = new PushRegistration(alice.chat().late, push);
  expect(registration.quiet.get()).toEqual({ ...night, until: 5_000 });
  await registration.turnOn(false);
  await registration.setQuiet({ from: 0, to: 0, until: 0 });
  await house.pass(1_000);
  expect(quiets).toEqual([
    { ...night, zone, until: 0 },
    { ...night, zone, until: 5_000_000 },
    { ...night, zone, until: 5_000_000 },
    { from: 0, to: 0, zone: "", until: 0 },
  ]);
  await registration.setSound("none");
  expect(await row()).toMatchObject({ silent: true });
  await registration.setSound("chime");
  expect(await row()).toMatchObject({ silent: false });
  expect(quiets).toHaveLength(4);
});

test("a choice that the server refuses for now is sent again later, and pushes stay on", async () => {
  await registration.turnOn(true);
  states();
  const { before } = house.server.archive;
  house.server.archive.before = (uid, request, path) =>
    request.method === "PUT"
      ? {
          status: 429,
          header: (name: string) => (name.toLowerCase() === "retry-after" ? "60" : null),
          body: JSON.stringify({ code: "rate_limited", detail: "" }),
        }
      : (before?.(uid, request, path) ?? null);
  await registration.showText(false);
  expect(registration.state.get()).toBe("on");
  house.server.archive.before = before;
  await house.pass(61_000);
  expect(states()).toContain("PUT https://push.test/1 false");
  expect(registration.state.get()).toBe("on");
});

test("a failure is a state, and is not repeated for a while unless the user asks", async () => {
  push.refusing = true;
  await registration.turnOn(false);
  expect(states()).toEqual(["failed", "GET"]);
  expect(alice.platform.reports.at(-1)).toMatch(/registration/u);
  push.refusing = false;
  expect(await again()).toEqual(["failed"]);
  await registration.turnOn(true);
  expect(states()).toEqual(["on", "GET", "PUT https://push.test/1 true"]);

  push.current = null;
  push.refusing = true;
  await again();
  await house.pass(11 * 60_000);
  push.refusing = false;
  expect(await again()).toEqual(["on", "GET", "PUT https://push.test/2 true"]);
});

test("turning it off ends the subscription, and the registration at the server", async () => {
  await registration.turnOn(true);
  await registration.showText(false);
  states();
  failing = true;
  await registration.turnOff();
  expect(push.current).toBeNull();
  expect(states()).toEqual(["off", "DELETE"]);
  expect(await row()).toMatchObject({ endpoint: "", signIn: "", preview: false });
  // The last words of a page: nothing is registered again.
  alice.platform.setVisible(false);
  await house.pass(100);
  expect(states()).toEqual(["off"]);
  failing = false;
  await registration.turnOn(true);
  expect(states()).toEqual(["on", "GET", "PUT https://push.test/1 false"].map((call) => call.replace("/1", "/2")));
});

test("a sign-out deletes everything that the worker could use", async () => {
  await registration.turnOn(true);
  states();
  await alice.chat().signOut();
  expect([...alice.platform.browser.disks.keys()]).toEqual([]);
  alice.platform.setVisible(false);
  await house.pass(100);
  expect(calls).toEqual([]);
});

test("without Web Push, there is nothing to register", async () => {
  const none = new PushRegistration(alice.chat().late, null);
  await none.turnOn(true);
  expect(none.state.get()).toBe("unsupported");
  expect(calls).toEqual([]);
});
