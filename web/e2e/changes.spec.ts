import type { Page } from "@playwright/test";
import { messageText } from "../src/text/messages";
import { conversationId } from "../src/protocol/chat";
import { signIn } from "./support/accounts";
import { chatWith, conversation, en, expectState, message, open, send, state } from "./support/steps";
import { engines, expect, test, type Visitor } from "./support/test";
import { system } from "./support/system";

const menu = (page: Page) => page.getByRole("menu", { name: en.conversation.actions });

/** Chooses an action in the menu of a message. */
async function choose(page: Page, who: Visitor, body: string, action: string): Promise<void> {
  await message(page, who, body).locator(".bubble").click({ button: "right" });
  await menu(page).getByText(action, { exact: true }).click();
}

/** Returns everything that the page keeps in its databases, as text. */
function stored(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const asked = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const found: unknown[] = [];
    for (const { name } of await indexedDB.databases()) {
      if (name === undefined) continue;
      const database = await asked(indexedDB.open(name));
      for (const store of database.objectStoreNames)
        found.push(await asked(database.transaction(store).objectStore(store).getAll()));
      database.close();
    }
    return JSON.stringify([found, { ...localStorage }, document.body.textContent]);
  });
}

test(
  "an edit, a deletion and a reaction reach every device, also one that was offline, and no deleted text is left",
  { tag: engines },
  async ({ user, signedIn }) => {
    const [ann, bob] = [await user("Ann"), await user("Bob")];
    const second = await signedIn(bob);
    await open(ann.page, bob);
    await send(ann.page, bob, "See you at nine");
    await send(ann.page, bob, "The password is swordfish");
    for (const { page } of [bob, second]) await open(page, ann);
    await expect(message(second.page, ann, "swordfish")).toBeVisible();
    await expectState(ann.page, bob, "swordfish", state.arrived);

    await second.sockets.offline(second.context);
    await choose(ann.page, bob, "See you at nine", messageText.edit);
    const dialog = ann.page.getByRole("dialog", { name: messageText.editTitle });
    await dialog.getByRole("textbox").fill("See you at ten");
    await dialog.getByRole("button", { name: en.common.save }).click();
    await choose(ann.page, bob, "swordfish", messageText.deleteForAll);
    await expect(message(bob.page, ann, "See you at ten")).toContainText(en.conversation.edited);
    await expect(message(bob.page, ann, en.conversation.deleted)).toBeVisible();
    await choose(bob.page, ann, "See you at ten", "👍");
    const reaction = (name: string) => en.conversation.reacted(name, "👍");
    await expect(
      message(ann.page, bob, "See you at ten").getByRole("button", { name: reaction(bob.name) }),
    ).toBeVisible();
    await expect(message(second.page, ann, "swordfish")).toBeVisible(); // it has learned of nothing yet

    await second.sockets.online(second.context);
    await expect(message(second.page, ann, "See you at ten")).toBeVisible();
    await expect(message(second.page, ann, en.conversation.deleted)).toBeVisible();
    await expect(
      message(second.page, ann, "See you at ten").getByRole("button", { name: reaction(en.conversation.you) }),
    ).toBeVisible();
    for (const [page, who] of [
      [ann.page, bob],
      [bob.page, ann],
      [second.page, ann],
    ] as const) {
      await expect(conversation(page, who)).not.toContainText("swordfish");
      await expect(chatWith(page, who)).not.toContainText("swordfish");
      await expect.poll(() => stored(page)).not.toContain("swordfish");
      expect(await stored(page)).not.toContain("at nine");
    }

    // Nor in what the server has.
    const { uid, token } = await signIn(ann);
    const bobs = await signIn(bob);
    const headers = { authorization: `Bearer ${token}` };
    const id = encodeURIComponent(conversationId(uid, bobs.uid));
    for (const path of ["conversations", `messages?conversation=${id}`, "messages/changes?since=0", "me/export"]) {
      const answer = await fetch(`${system().url}/api/${path}`, { headers });
      expect(answer.ok, path).toBe(true);
      expect(await answer.text(), path).not.toMatch(/swordfish|at nine/u);
    }
  },
);
