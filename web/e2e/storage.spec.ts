import type { Page } from "@playwright/test";
import { en, message, open, send } from "./support/steps";
import { expect, test } from "./support/test";

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
