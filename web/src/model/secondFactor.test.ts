import { expect, test } from "vitest";
import { json } from "./testing/archive";
import { Household, type Tab } from "./testing/household";
import { changePassword } from "./others";
import {
  appUri,
  finishFactor,
  newRecoveryCodes,
  plain,
  readSecondFactor,
  recover,
  removeFactor,
  startFactor,
} from "./secondFactor";

const ALICE = "aliceUid0001";
const PASSWORD = "correct horse";

/** Returns a tab of Alice, and the calls of hers that change something. */
async function alice(): Promise<{ readonly house: Household; readonly tab: Tab; readonly calls: readonly string[] }> {
  const house = new Household();
  const tab = await house.user(ALICE);
  const calls: string[] = [];
  house.server.archive.before = (_uid, { method }, path) => {
    if (method === "GET" || !/me|signup/u.test(path)) return null;
    calls.push(`${method} ${path.replace("/api/", "")}`);
    if (path.endsWith("/recovery-codes")) return json(200, { codes: ["AAAA-BBBB", "CCCC-DDDD"] });
    return path.endsWith("/second-factor") || path.endsWith("/recover") ? json(204, undefined) : null;
  };
  return { house, tab, calls };
}

test("an app is added after the password, and this device goes on with the new sign-in", async () => {
  const { house, tab, calls } = await alice();
  const [parts, { late }] = [tab.app.accounts.late, tab.chat()];
  expect(await startFactor(parts, late, "wrong")).toMatchObject({ ok: false, problem: { code: "wrong_password" } });
  const started = await startFactor(parts, late, PASSWORD);
  if (!started.ok) throw new Error(started.problem.code);
  await house.pass(5_000);
  const wrong = await finishFactor(parts, late, started.value, "999999");
  expect(wrong).toMatchObject({ ok: false, problem: { code: "code_wrong" } });
  const before = calls.length;
  const renewed = house.server.renewed.length;
  expect(await finishFactor(parts, late, started.value, "111111")).toEqual({ ok: true, value: undefined });
  await house.pass(5_000);
  // Joined to this device first, then the former one is ended, and the socket has the new token.
  expect(calls.slice(before)).toEqual(["POST me/sign-in", "POST me/sign-out"]);
  expect(house.server.renewed.length).toBe(renewed + 1);
  expect(tab.chat().connection.get().state).toBe("online");
  expect(await newRecoveryCodes(late)).toEqual({ ok: true, value: ["AAAA-BBBB", "CCCC-DDDD"] });
});

test("a change of the password stays signed in here only with another code", async () => {
  const { house, tab } = await alice();
  house.appCodes = new Set(["111111", "222222"]);
  const chat = tab.chat();
  expect(await changePassword(chat.late, "better password", PASSWORD)).toMatchObject({
    problem: { code: "code_needed" },
  });
  const changed = changePassword(chat.late, "better password", PASSWORD, "111111");
  await house.pass(5_000);
  expect(await changed).toEqual({ ok: true, value: false });
  expect(house.signIns).toBe(1);
  expect(await chat.late.confirm("better password", "111111")).toMatchObject({ problem: { code: "code_wrong" } });
  expect(await chat.late.confirm("better password", "222222")).toEqual({ ok: true, value: undefined });
  expect(house.signIns).toBe(2);
});

test("an app is removed by the server", async () => {
  const { tab, calls } = await alice();
  expect(await removeFactor(tab.chat().late)).toEqual({ ok: true, value: undefined });
  expect(calls).toEqual(["DELETE me/second-factor"]);
});

test("a recovery code is used with the password, and the person is signed in without the app", async () => {
  const { house, tab, calls } = await alice();
  await tab.chat().signOut();
  const before = calls.length;
  const recovered = recover(tab.app.accounts.late, ` ${ALICE}@example.org`, PASSWORD, " aaaa bbbb ");
  await house.pass(1_000);
  // The server has ended all sign-ins up to a whole second, so a new one has to wait.
  expect(tab.app.session.get().state).toBe("signed-out");
  await house.pass(2_000);
  expect(await recovered).toEqual({ ok: true, value: true });
  expect(calls[before]).toBe("POST signup/recover");
  expect(tab.app.session.get().state).toBe("signed-in");
});

test("a recovery code that is wrong changes nothing", async () => {
  const { house, tab } = await alice();
  await tab.chat().signOut();
  house.server.archive.before = (_uid, _request, path) =>
    path.endsWith("/recover") ? json(422, { code: "recovery_code_wrong", detail: "x" }) : null;
  const recovered = await recover(tab.app.accounts.late, `${ALICE}@example.org`, PASSWORD, "x");
  expect(recovered).toMatchObject({ ok: false, problem: { code: "recovery_code_wrong" } });
  expect(tab.app.session.get().state).toBe("signed-out");
});

test("whether there is an app is part of the own profile, of which an earlier server does not tell", async () => {
  const { house, tab } = await alice();
  const { late } = tab.chat();
  expect(await readSecondFactor(late)).toEqual({ ok: true, value: null });
  house.server.archive.before = (_uid, _request, path) =>
    path === "/api/me" ? json(200, { uid: ALICE, second_factor: true, recovery_codes: 7 }) : null;
  expect(await readSecondFactor(late)).toEqual({ ok: true, value: { on: true, codesLeft: 7 } });
});

test("the QR code has the address, the name of the chat and the secret", () => {
  expect(appUri({ secret: "ABC234", session: "" }, "Phoenix Chat", "ann+1@example.org")).toBe(
    "otpauth://totp/Phoenix%20Chat:ann%2B1%40example.org?secret=ABC234&issuer=Phoenix%20Chat",
  );
  expect(plain(" 123 456")).toBe("123456");
});
