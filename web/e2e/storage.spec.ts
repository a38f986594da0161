import type { Page } from "@playwright/test";
import { en, expectState, message, open, send, state } from "./support/steps";
import { expect, test } from "./support/test";

/** A message that arrived must be shown within this time, whatever the storage does. */
const shownWithin = 5_000;

test("storage is full while messages arrive", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "before");
  await expect(message(bob.page, ann, "before")).toBeVisible();

  const session = await bob.context.newCDPSession(bob.page);
  const { origin } = new URL(bob.page.url());
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
  await bob.page.evaluate(fill);
  await send(ann.page, bob, "while it is full");
  await expect(message(bob.page, ann, "while it is full")).toBeVisible({ timeout: shownWithin });
  // It is not stored, so it counts neither as delivered nor as read.
  await expectState(ann.page, bob, "while it is full", state.sent);
  await expect(bob.page.getByText(en.connection.storageOverflow)).toBeVisible();
  await send(bob.page, ann, "an answer on a full device");
  await expect(message(ann.page, bob, "an answer on a full device")).toBeVisible();

  await session.send("Storage.overrideQuotaForOrigin", { origin });
  await expectState(ann.page, bob, "while it is full", state.arrived);
  await expect(bob.page.getByText(en.connection.storageOverflow)).toBeHidden();
  await bob.page.reload();
  for (const body of ["before", "while it is full", "an answer on a full device"])
    await expect(message(bob.page, ann, body)).toHaveCount(1);
});

test("storage never answers from some moment on", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await bob.page.addInitScript(silenceable);
  await bob.page.reload();
  await open(ann.page, bob);
  await open(bob.page, ann);
  await send(ann.page, bob, "before");
  await expect(message(bob.page, ann, "before")).toBeVisible();

  await silence(bob.page);
  await send(ann.page, bob, "while it is silent");
  await expect(message(bob.page, ann, "while it is silent")).toBeVisible();
  await expect(bob.page.getByText(en.connection.storageDenied)).toBeVisible();
  await send(bob.page, ann, "an answer");
  await expect(message(ann.page, bob, "an answer")).toBeVisible();
  // The storage answers the next page.
  await bob.page.reload();
  for (const body of ["before", "while it is silent", "an answer"])
    await expect(message(bob.page, ann, body)).toHaveCount(1);
  await expect(bob.page.getByText(en.connection.storageDenied)).toBeHidden();
});

test("storage does not answer when the page opens", async ({ user }) => {
  const [ann, bob] = await Promise.all([user("Ann"), user("Bob")]);
  await bob.page.addInitScript(silenceable);
  await bob.page.addInitScript(() => Object.assign(window, { storageIsSilent: true }));
  await open(ann.page, bob);
  await send(ann.page, bob, "for a page without storage");
  await bob.page.goto(`/c/${ann.username}`);
  await expect(message(bob.page, ann, "for a page without storage")).toBeVisible();
  await expect(bob.page.getByText(en.connection.storageDenied)).toBeVisible();
});

/** Runs in the page: IndexedDB reports nothing while `window.storageIsSilent` is set, as with a broken profile. */
function silenceable(): void {
  const events: readonly (readonly [object, readonly string[]])[] = [
    [IDBRequest.prototype, ["onsuccess", "onerror"]],
    [IDBOpenDBRequest.prototype, ["onupgradeneeded", "onblocked"]],
    [IDBTransaction.prototype, ["oncomplete", "onabort", "onerror"]],
  ];
  for (const [prototype, names] of events)
    for (const name of names) {
      const original = Object.getOwnPropertyDescriptor(prototype, name);
      Object.defineProperty(prototype, name, {
        ...original,
        set(this: unknown, handler: ((event: Event) => void) | null) {
          const guarded =
            handler === null
              ? null
              : (event: Event) => {
                  if (!("storageIsSilent" in window)) handler.call(this, event);
                };
          original?.set?.call(this, guarded);
        },
      });
    }
}

async function silence(page: Page): Promise<void> {
  await page.evaluate(() => Object.assign(window, { storageIsSilent: true }));
}

/** Runs in the page: writes to another database until the browser refuses it, since it seldom checks the quota. */
async function fill(): Promise<void> {
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const opening = indexedDB.open("filler");
    opening.onupgradeneeded = () => opening.result.createObjectStore("rows", { autoIncrement: true });
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  const until = Date.now() + 60_000;
  for (let full = false; !full;) {
    if (Date.now() > until) throw new Error("The quota has no effect.");
    full = await new Promise<boolean>((resolve) => {
      const tx = db.transaction("rows", "readwrite");
      tx.oncomplete = () => resolve(false);
      tx.onabort = () => resolve(true);
      tx.objectStore("rows").add("x".repeat(1_000_000));
    });
  }
  db.close();
}
