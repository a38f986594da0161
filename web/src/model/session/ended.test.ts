import { describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import { changePassword } from "../others";
import { databaseName } from "../store/store";
import { json } from "../testing/archive";
import { Household } from "../testing/household";

const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

describe("a sign-in that ends in the middle of a send", () => {
  test.each([
    ["token_ended", "ended", ["accepted", "not sent yet"]],
    ["signed_out", "signed-out", ["accepted"]],
  ])("with %s loses nothing that was accepted, and keeps only what it may", async (code, reason, arrives) => {
    const house = new Household();
    const browser = new FakeBrowser();
    house.server.archive.directory.set(BOB, { uid: BOB, username: "bob", display_name: "Bob" });
    const alice = await house.user(ALICE, browser);
    const sending = alice.chat().conversation(BOB);
    // The server accepts the message while it closes the socket, so no answer arrives.
    const queue = house.server.queue.bind(house.server);
    house.server.queue = (message) => {
      house.server.refused.set(ALICE, code);
      house.server.drop(ALICE, 4401);
      return queue(message);
    };
    await sending.send("accepted");
    await house.pass(10);
    expect(house.server.accepted.size).toBe(1);
    await sending.send("not sent yet");
    await house.pass(40_000);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason });
    expect([...browser.disks.keys()]).toEqual(reason === "ended" ? [databaseName(ALICE)] : []);

    house.server.queue = queue;
    house.server.refused.delete(ALICE);
    expect((await alice.app.signIn(`${ALICE}@example.org`, "correct horse")).ok).toBe(true);
    await house.pass(40_000);
    const bob = await house.user(BOB);
    await house.pass(5_000);
    const conversation = bob.chat().conversation(ALICE);
    await house.pass(500);
    expect(conversation.timeline.get().items.map((m) => m.body)).toEqual(arrives);
    expect(alice.chat().waitingTotal.get()).toBe(0);
  });
});

describe("another password", () => {
  const [typed, normal] = ["cafe\u0301 au lait", "caf\u00e9 au lait"];

  test("needs the present one, is set by the server, and this device signs in with it", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const calls: string[] = [];
    house.server.archive.before = (_uid, { method }, path) => {
      if (method === "POST" && !path.endsWith("/sign-out")) calls.push(path.replace("/api/me/", ""));
      return null;
    };
    expect(await changePassword(alice.chat().late, typed, "wrong")).toMatchObject({
      ok: false,
      problem: { code: "wrong_password" },
    });
    expect(calls).toEqual([]);
    house.passwords.length = 0;
    const changed = changePassword(alice.chat().late, typed, "correct horse");
    await house.pass(5_000);
    expect(await changed).toEqual({ ok: true, value: true });
    expect(house.passwords).toEqual(["correct horse", normal]);
    expect(calls).toEqual(["sign-in", "password", "sign-in"]);
    expect([house.signIns, house.server.renewed.length]).toEqual([2, 2]);
    expect(alice.chat().connection.get().state).toBe("online");
  });

  test("that the server refuses changes nothing", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    house.server.archive.before = (_uid, _request, path) =>
      path === "/api/me/password" ? json(422, { code: "password_common", fields: { password: "x" } }) : null;
    expect(await changePassword(alice.chat().late, "sunshine1", "correct horse")).toMatchObject({
      ok: false,
      problem: { code: "password_common" },
    });
    expect([house.password, house.signIns]).toEqual(["correct horse", 1]);
  });

  test("counts as changed although this device cannot sign in at once, and it tries again", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    house.server.archive.before = (_uid, _request, path) => {
      if (path === "/api/me/password") house.identityDown = true;
      return null;
    };
    const changed = changePassword(alice.chat().late, normal, "correct horse");
    await house.pass(5_000);
    house.identityDown = false;
    await house.pass(10_000);
    expect(await changed).toEqual({ ok: true, value: true });
    expect(house.signIns).toBe(2);
  });

  test("is the reason that an ended device learns from the server", async () => {
    const house = new Household();
    const alice = await house.user(ALICE);
    const tokens: string[] = [];
    expect(await alice.app.passwordChangedAt()).toEqual({ ok: true, value: null }); // it has not ended
    house.server.archive.before = (uid, { headers }, path) => {
      if (path !== "/api/me") return null;
      tokens.push(headers["authorization"] ?? "");
      return json(401, { code: "token_ended", password_changed_at: 1_795_348_800_123_456, detail: uid });
    };
    house.revoked.add(ALICE);
    house.server.refused.set(ALICE, "token_ended");
    house.server.drop(ALICE, 4401);
    await house.pass(40_000);
    expect(alice.app.session.get()).toEqual({ state: "signed-out", reason: "ended" });
    tokens.length = 0;
    expect(await alice.app.passwordChangedAt()).toEqual({ ok: true, value: 1_795_348_800_123 });
    expect(tokens).toHaveLength(1);
    expect(tokens[0]).toMatch(new RegExp(`^Bearer ${ALICE} `, "u"));
    house.server.archive.down = true;
    expect(await alice.app.passwordChangedAt()).toEqual({ ok: true, value: null });
  });
});
