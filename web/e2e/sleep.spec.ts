// A browser that gives its socket back while nobody looks at it. Its clock runs ahead, since it sleeps after 2 minutes.
import { pusher, registerForPush, shown, stored, subscribeWorker } from "./support/push";
import { chatWith, en, expectSignedIn, expectState, open, send, setHidden, signUp, state } from "./support/steps";
import { acquaint, expect, test, whole } from "./support/test";

test(
  "a hidden browser with two tabs sleeps, gets messages by push as a closed phone does, and is back at once",
  { tag: whole },
  async ({ user, visitor, signedIn, baseURL }) => {
    const origin = new URL(baseURL ?? "").origin;
    const bob = await user("Bob");
    const ann = await visitor("Ann");
    await ann.context.clock.install();
    const { endpoint } = await registerForPush(ann, () => signUp(ann.page, ann));
    await acquaint([ann, bob]);
    await open(bob.page, ann);
    await send(bob.page, ann, "while you look");
    await expect(chatWith(ann.page, bob)).toContainText("while you look");
    const { from, to, conversation } = await stored(bob.page, "while you look");

    const phone = await signedIn(ann);
    const phoneAt = await registerForPush(phone, async () => {
      await phone.page.reload();
      await expectSignedIn(phone.page);
    });
    const phoneWorker = await subscribeWorker(phone, phoneAt.endpoint);
    const pushToPhone = await pusher(await phone.context.newPage(), origin);
    await phone.page.close();

    const worker = await subscribeWorker(ann, endpoint);
    // The browser counts a page as focused although it believes that it is hidden.
    await worker.evaluate(() => {
      Object.assign(Reflect.get(self, "clients") as object, { matchAll: async () => [] });
    });
    const push = await pusher(await ann.context.newPage(), origin);
    await push({ v: 1, to, kind: "test" });
    await expect.poll(() => shown(worker)).toHaveLength(1);

    const second = await ann.context.newPage();
    await second.goto("/");
    await expectSignedIn(second);
    await second.mouse.move(200, 200); // loads the code that sleeps
    await setHidden(ann.page, true);
    await setHidden(second, true);
    await expect
      .poll(
        async () => {
          await ann.context.clock.fastForward(45_000);
          return ann.sockets.open;
        },
        { intervals: [1_000], timeout: 60_000 },
      )
      .toBe(0);

    const text = "while you sleep";
    const { opened } = ann.sockets;
    await send(bob.page, ann, text);
    await expectState(bob.page, ann, text, state.sent);
    const { id } = await stored(bob.page, text);
    const content = { v: 1, to, conversation, from, name: bob.name, ids: [id], count: 1, text };
    await push(content);
    await expect.poll(() => shown(worker)).toContain(`${bob.name}: ${text}`);
    await expectState(bob.page, ann, text, state.delivered);
    for (const page of [ann.page, second]) await expect(chatWith(page, bob)).toContainText(text);
    expect([ann.sockets.open, ann.sockets.opened]).toEqual([0, opened]);

    // The phone gets it, too.
    await pushToPhone(content);
    await expect.poll(() => shown(phoneWorker)).toContain(`${bob.name}: ${text}`);
    await expect
      .poll(async () => {
        const page = await phone.context.newPage();
        await phone.context.setOffline(true);
        await page.goto("/");
        const list = await chatWith(page, bob).textContent();
        await phone.context.setOffline(false);
        await page.close();
        return list;
      })
      .toContain(text);

    // Somebody looks again.
    await second.evaluate((banner) => {
      const seen: string[] = [];
      Object.assign(window, { seen });
      new MutationObserver(() => {
        if (document.body.innerText.includes(banner)) seen.push(banner);
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    }, en.connection.offline);
    const caughtUp = (): number => ann.sockets.received.filter(({ type }) => type === "caught_up").length;
    const before = caughtUp();
    const began = performance.now();
    await setHidden(second, false);
    await expect.poll(caughtUp, { intervals: [5], timeout: 30_000 }).toBeGreaterThan(before);
    console.log(`connected ${Math.round(performance.now() - began)} ms after a tab was visible`);
    await send(bob.page, ann, "good morning");
    await expect(chatWith(second, bob)).toContainText("good morning");
    expect(await second.evaluate(() => Reflect.get(window, "seen") as readonly string[])).toEqual([]);
    expect(ann.sockets.open).toBe(1);
  },
);
