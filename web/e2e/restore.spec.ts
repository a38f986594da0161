import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAccount } from "./support/accounts";
import { expectState, message, messages, open, send, state } from "./support/steps";
import { launch, type Launched } from "./support/system";
import { acquaint, expect, newUser, test } from "./support/test";

test("devices keep their messages when the server is restored from a backup", async ({ signedIn }) => {
  const folder = await mkdtemp(join(tmpdir(), "phoenix-restore-"));
  const [data, backup] = [join(folder, "data"), join(folder, "backup")];
  let running: Launched | null = await launch({ data });
  const restart = async (change: () => Promise<void>): Promise<void> => {
    const { port } = new URL(running?.system.url ?? "");
    const before = running;
    running = null;
    await before?.end();
    await change();
    running = await launch({ data, port });
  };
  try {
    const of = running.system;
    const [anna, bert] = [newUser("Ann"), newUser("Bob")];
    for (const user of [anna, bert]) await createAccount(user, of);
    const [ann, bob] = await Promise.all([signedIn(anna, { of }), signedIn(bert, { of })]);
    await acquaint([ann, bob], [], of);
    await open(ann.page, bob);
    await open(bob.page, ann);
    await send(ann.page, bob, "in the backup");
    await expectState(ann.page, bob, "in the backup", state.arrived);
    await restart(() => cp(data, backup, { recursive: true }));
    await send(bob.page, ann, "newer than the backup");
    await expectState(bob.page, ann, "newer than the backup", state.arrived);
    await bob.sockets.offline(bob.context);
    await send(ann.page, bob, "waiting on the server");
    await expectState(ann.page, bob, "waiting on the server", state.sent);
    await ann.sockets.offline(ann.context);
    await restart(async () => {
      await rm(data, { recursive: true });
      await cp(backup, data, { recursive: true });
    });
    await ann.sockets.online(ann.context); // reconnects at once
    await bob.sockets.online(bob.context);
    await expectState(ann.page, bob, "waiting on the server", state.arrived);
    const all = ["in the backup", "newer than the backup", "waiting on the server"];
    for (const [page, other] of [
      [ann.page, bob],
      [bob.page, ann],
    ] as const) {
      await expect(message(page, other, "waiting on the server")).toBeVisible();
      await expect(messages(page, other)).toContainText(all);
      await expect(messages(page, other)).toHaveCount(all.length);
    }
  } finally {
    await (running as Launched | null)?.end();
    await rm(folder, { recursive: true, force: true });
  }
});
