import { describe, expect, test } from "vitest";
import type { MailCode } from "../net/identity";
import { FakeClock } from "../platform/testing/clock";
import { FakeBrowser, FakePlatform, settle } from "../platform/testing/fake";
import type { AccountParts } from "./interface/app";
import type { OpenedLink } from "./mail";
import {
  changeAddress,
  confirmReset,
  linkFor,
  mailbox,
  openLink,
  sendChange,
  sendHeld,
  sendReset,
  sendVerification,
  verificationPause,
} from "./mail";
import { json } from "./testing/archive";
import { Household, type Tab } from "./testing/household";
import { signUp } from "./signUp";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";
const addressOf = (uid: string): string => `${uid}@example.org`;

const codes: Readonly<Record<string, MailCode>> = {
  verify: { kind: "verify", email: addressOf(ALICE), before: "" },
  change: { kind: "change", email: "new@example.org", before: addressOf(ALICE) },
  reset: { kind: "reset", email: addressOf(ALICE), before: "" },
  recover: { kind: "recover", email: addressOf(ALICE), before: "new@example.org" },
};
const modes = {
  verify: "verifyEmail",
  change: "verifyAndChangeEmail",
  reset: "resetPassword",
  recover: "recoverEmail",
};

/** A house with a valid code of each kind for the account of ALICE, whose address is not verified. */
function houseWithCodes(): Household {
  const house = new Household();
  for (const [name, code] of Object.entries(codes)) house.codes.set(name, code);
  house.server.archive.unverified.set(ALICE, "unverified");
  return house;
}

/** Opens the link of a kind. Fails if that is a problem. */
async function opened(tab: Tab, kind: keyof typeof modes): Promise<OpenedLink> {
  const outcome = await openLink(tab.app.late, modes[kind], kind);
  if (!outcome.ok) throw new Error(outcome.problem.code);
  return outcome.value;
}

const unverified = (tab: Tab): boolean | undefined => tab.chat().me.get().unverified;

describe("the email that verifies the address", () => {
  test("is sent after a sign-up, which succeeds without it", async () => {
    for (const mailDown of [false, true]) {
      const house = new Household();
      house.mailDown = mailDown;
      house.server.archive.before = (_uid, _request, path) => (path === "/api/signup" ? json(201, {}) : null);
      const tab = await house.tab();
      const form = { email: addressOf(ALICE), password: "correct horse", username: "alice", displayName: "Alice" };
      expect(await signUp(tab.app, form)).toEqual({ ok: true, value: undefined });
      await house.pass(100);
      expect(tab.chat().uid).toBe(ALICE);
      expect(house.mails).toEqual(mailDown ? [] : [`verify ${addressOf(ALICE)}`]);
    }
  });

  test("can be sent again after a minute, counted from the account or the last email, in all tabs", async () => {
    const house = new Household();
    const browser = new FakeBrowser();
    const first = await house.user(ALICE, browser);
    const second = await house.tab(browser);
    const createdAt = house.clock.now() - 20_000;
    const pauses = (): number[] => [first, second].map((tab) => verificationPause(tab.app.late, createdAt));
    expect(verificationPause(first.app.late, null)).toBe(0);
    expect(pauses()).toEqual([40_000, 40_000]);
    await house.pass(40_000);
    expect(pauses()).toEqual([0, 0]);
    expect(await sendVerification(first.app.late)).toEqual({ ok: true, value: undefined });
    expect(pauses()).toEqual([60_000, 60_000]);
    await house.pass(59_000);
    expect(pauses()).toEqual([1_000, 1_000]);
    // A clock that is set back does not make the pause longer.
    first.platform.notes.set("phoenix.mail-sent", String(house.clock.now() + 3_600_000));
    expect(pauses()).toEqual([60_000, 60_000]);
    expect(house.mails).toEqual([`verify ${addressOf(ALICE)}`]);
  });

  test("that the server refuses starts no pause", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    house.mailDown = true;
    expect(await sendVerification(alice.app.late)).toMatchObject({ ok: false, problem: { code: "too_many" } });
    expect(verificationPause(alice.app.late, null)).toBe(0);
  });
});

test("the emails for a new password and for another address are sent to whom they are for", async () => {
  const house = new Household();
  const alice = await house.user(ALICE);
  expect((await sendReset(alice.app.late, "bob@example.org")).ok).toBe(true);
  expect((await sendChange(alice.app.late, "new@example.org", "correct horse")).ok).toBe(true);
  expect(house.mails).toEqual(["reset bob@example.org", `change ${addressOf(ALICE)} to new@example.org`]);
});

describe("on one machine, which delivers no email,", () => {
  const mails = [
    { email: addressOf(ALICE), oobLink: "https://localhost:8080/mail?mode=verifyEmail&oobCode=old" },
    { email: addressOf(ALICE), oobLink: "https://localhost:8080/mail?mode=verifyEmail&oobCode=new" },
    { email: addressOf(ALICE), oobLink: "https://localhost:8080/mail?mode=resetPassword&oobCode=reset" },
    {
      email: addressOf(ALICE),
      newEmail: "new@example.org",
      oobLink: "https://localhost:8080/mail?mode=verifyAndChangeEmail&oobCode=change",
    },
  ];

  /** Returns the parts of a page at `origin` with a configuration. Its emails are those above, or the given answer. */
  function pageAt(
    origin: string,
    config: object,
    body = JSON.stringify({ oobCodes: mails }),
  ): Pick<AccountParts, "platform"> {
    const platform = new FakePlatform({ clock: new FakeClock(0, settle), browser: new FakeBrowser() });
    platform.answer = async ({ url }) => json(url === "http://localhost:8080/mails" ? 200 : 404, JSON.parse(body));
    platform.notes.set("phoenix.config", JSON.stringify(config));
    const { clock, http, notes, random } = platform;
    return { platform: { clock, http, notes, random, report: () => undefined, page: { origin } } };
  }

  test("the page opens the newest one of a kind itself", async () => {
    const late = pageAt("http://localhost:8080/", { local_mails: "/mails" });
    const link = (mode: string, code: string): object => ({ ok: true, value: `/mail?mode=${mode}&oobCode=${code}` });
    expect(await linkFor(late, "verify", addressOf(ALICE).toUpperCase())).toEqual(link("verifyEmail", "new"));
    expect(await linkFor(late, "reset", addressOf(ALICE))).toEqual(link("resetPassword", "reset"));
    expect(await linkFor(late, "change", "new@example.org")).toEqual(link("verifyAndChangeEmail", "change"));
    for (const [kind, to] of [
      ["change", addressOf(ALICE)],
      ["recover", addressOf(ALICE)],
      ["verify", addressOf(BOB)],
    ] as const)
      expect(await linkFor(late, kind, to)).toMatchObject({ problem: { code: "mail_missing" } });
  });

  test.each([["null"], ["{}"], ['{"oobCodes": [{"email": "a", "oobLink": "no address"}]}'], ['{"oobCodes": [7]}']])(
    "a list that cannot be read is empty: %s",
    async (body) => {
      const late = pageAt("http://localhost:8080/", { local_mails: "/mails" }, body);
      expect(await linkFor(late, "verify", "a")).toMatchObject({ problem: { code: "mail_missing" } });
    },
  );

  test.each([
    ["http://127.0.0.1:8080/", { local_mails: "/mails" }, "http://127.0.0.1:8080/mails"],
    ["http://[::1]:8080/", { local_mails: "/mails" }, "http://[::1]:8080/mails"],
    // A server in the cloud sends no such field. If it did, its page would have another origin than a loopback address.
    ["http://localhost:8080/", {}, null],
    ["http://localhost:8080/", { local_mails: 7 }, null],
    ["https://chat.example.org/", { local_mails: "/mails" }, null],
    ["http://localhost.example.org/", { local_mails: "/mails" }, null],
    ["http://127.0.0.1.example.org/", { local_mails: "/mails" }, null],
    ["http://localhost:8080/", { local_mails: "https://elsewhere.example/mails" }, null],
    ["http://localhost:8080/", { local_mails: "//elsewhere.example/mails" }, null],
  ])("but only there (%s, %o)", async (origin, config, url) => {
    const late = pageAt(origin, config);
    expect(mailbox(late)).toBe(url);
    if (url === null)
      expect(await linkFor(late, "verify", addressOf(ALICE))).toMatchObject({ problem: { code: "mail_missing" } });
  });
});

describe("a link that verifies the address", () => {
  test("does so at once, and this page and the server learn it with a fresh token", async () => {
    const house = houseWithCodes();
    const alice = await house.user(ALICE);
    expect(unverified(alice)).toBe(true);
    expect(await opened(alice, "verify")).toEqual({ ...codes["verify"], here: "owner", hereAs: addressOf(ALICE) });
    expect(house.refreshed).toEqual([ALICE]);
    expect(unverified(alice)).toBe(false);
  });

  test("does so also for somebody who is signed out, or signed in with another account, which stays as it is", async () => {
    const out = houseWithCodes();
    expect(await opened(await out.tab(), "verify")).toEqual({ ...codes["verify"], here: "nobody", hereAs: "" });
    const other = houseWithCodes();
    const bob = await other.user(BOB);
    expect(await opened(bob, "verify")).toEqual({ ...codes["verify"], here: "other", hereAs: addressOf(BOB) });
    for (const house of [out, other]) {
      expect(house.server.archive.unverified.get(ALICE)).toBe("verified");
      expect(house.refreshed).toEqual([]);
    }
    expect(bob.chat().uid).toBe(BOB);
  });

  test("sends at once what had to wait for it, here and on a device that learns it from the server", async () => {
    const house = houseWithCodes();
    const id = [ALICE, BOB].sort().join("~");
    house.server.refuseForNow = () =>
      house.server.archive.unverified.get(ALICE) === "unverified" ? ["too_many_new_people", 3_600_000] : null;
    const alice = await house.user(ALICE);
    const phone = await house.user(ALICE);
    await house.user(BOB);
    const arrived = (): number => house.server.archive.saved.size;
    for (const tab of [alice, phone]) expect((await tab.chat().conversation(BOB).send("hello")).ok).toBe(true);
    await house.pass(60_000);
    for (const tab of [alice, phone])
      expect((await tab.chat().late.store.read((tx) => tx.conversation(id)))?.held).toBe("too_many_new_people");
    await opened(alice, "verify");
    await house.pass(1_000);
    expect(arrived()).toBe(1);
    await phone.chat().late.reload();
    await sendHeld(phone.chat());
    await house.pass(1_000);
    expect(arrived()).toBe(2);
  });

  test("has verified it, although the server could not be asked again", async () => {
    const house = houseWithCodes();
    const alice = await house.user(ALICE);
    house.revoked.add(ALICE);
    expect(await opened(alice, "verify")).toMatchObject({ here: "owner" });
    expect(unverified(alice)).toBe(true); // until the next token
  });

  test("may be opened again: a person who is signed in sees whether their own address is verified", async () => {
    const house = houseWithCodes();
    const alice = await house.user(ALICE);
    await opened(alice, "verify");
    expect(await opened(alice, "verify")).toMatchObject({ kind: "verify", email: addressOf(ALICE), here: "owner" });
    house.server.archive.unverified.set(BOB, "unverified");
    for (const tab of [await house.tab(), await house.user(BOB)])
      expect(await openLink(tab.app.late, "verifyEmail", "verify")).toMatchObject({ problem: { code: "code_ended" } });
  });

  test("counts if something else has opened it before, such as a filter of the user's emails", async () => {
    const house = houseWithCodes();
    const alice = await house.user(ALICE);
    house.codes.delete("verify");
    house.server.archive.unverified.set(ALICE, "verified");
    expect(await opened(alice, "verify")).toMatchObject({ email: addressOf(ALICE), here: "owner" });
    expect(unverified(alice)).toBe(false);
  });

  test("that has expired verifies nothing", async () => {
    const house = houseWithCodes();
    const alice = await house.user(ALICE);
    expect(await openLink(alice.app.late, "verifyEmail", "old")).toMatchObject({ problem: { code: "code_ended" } });
    expect(unverified(alice)).toBe(true);
  });
});

test.each([
  ["without a code", "verifyEmail", ""],
  ["without a kind", "", "verify"],
  ["of an unknown kind", "signIn", "verify"],
  ["whose kind is a name that every object has", "toString", "verify"],
  ["whose code is of another kind", "verifyEmail", "recover"],
])("a link %s is damaged, and does nothing", async (_, mode, code) => {
  const house = houseWithCodes();
  const alice = await house.user(ALICE);
  expect(await openLink(alice.app.late, mode, code)).toMatchObject({ problem: { code: "link_damaged" } });
  expect(house.codes.size).toBe(4);
});

describe("a link that changes the address", () => {
  test("does nothing until the user agrees, and then ends the session of this page, which keeps its data", async () => {
    const house = houseWithCodes();
    const browser = new FakeBrowser();
    const alice = await house.user(ALICE, browser);
    const link = await opened(alice, "change");
    expect(link).toEqual({ ...codes["change"], here: "owner", hereAs: addressOf(ALICE) });
    expect([house.codes.has("change"), house.refreshed.length]).toEqual([true, 0]);
    expect((await changeAddress(alice.app.late, "change", link)).ok).toBe(true);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "ended" });
    expect(browser.disks.size).toBe(1);
    expect(await changeAddress(alice.app.late, "change", link)).toMatchObject({ problem: { code: "code_ended" } });
  });

  test("leaves somebody else signed in", async () => {
    const house = houseWithCodes();
    const bob = await house.user(BOB);
    const link = await opened(bob, "change");
    expect(link).toMatchObject({ here: "other", hereAs: addressOf(BOB) });
    expect((await changeAddress(bob.app.late, "change", link)).ok).toBe(true);
    expect(bob.app.session.get().state).toBe("signed-in");
  });
});

test("a link that restores the former address does so at once, and ends the session of this page", async () => {
  const house = houseWithCodes();
  const alice = await house.user(ALICE);
  expect(await opened(alice, "recover")).toMatchObject({ here: "owner", email: addressOf(ALICE) });
  expect(house.codes.has("recover")).toBe(false);
  expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "ended" });
});

test("a new password ends the sign-ins on all other devices", async () => {
  const house = houseWithCodes();
  const tab = await house.tab();
  let busy = true;
  house.server.archive.before = (_uid, _request, path) =>
    busy && path === "/api/me/sign-out-others" ? json(503, { code: "unavailable", detail: "x" }) : null;
  const { late } = tab.app;
  expect(await confirmReset(late, "old", "correct horse")).toMatchObject({ problem: { code: "code_ended" } });
  expect(await opened(tab, "reset")).toMatchObject({ kind: "reset", here: "nobody" });
  expect(await confirmReset(late, "reset", "correct horse")).toEqual({ ok: true, value: { signedIn: true } });
  expect(tab.chat().uid).toBe(ALICE);
  await house.pass(1_000);
  expect(house.server.archive.signOuts).toEqual([]);
  busy = false;
  await house.pass(60_000);
  expect(house.server.archive.signOuts).toMatchObject([{ uid: ALICE, path: "/api/me/sign-out-others" }]);
  // Signing in may be refused, though the password was set.
  const other = await house.tab();
  house.codes.set("again", { kind: "reset", email: addressOf(BOB), before: "" });
  expect(await confirmReset(other.app.late, "again", "wrong")).toEqual({ ok: true, value: { signedIn: false } });
});
