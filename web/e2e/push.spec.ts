// A browser without an open page. Chromium has no push service in a test, so it is subscribed at the stand-in for push
// services, and the content of pushes comes through the DevTools protocol.
import { pusher, registerForPush, shown, stored, subscribeWorker } from "./support/push";
import { chatWith, expectState, message, open, send, signUp, state } from "./support/steps";
import { acquaint, expect, test, whole } from "./support/test";

test(
  "a message reaches a browser whose pages are closed, and is there without a network after a click",
  { tag: whole },
  async ({ user, visitor, baseURL }) => {
    const bob = await user("Bob");
    const ann = await visitor("Ann");
    const { endpoint, preview } = await registerForPush(ann, () => signUp(ann.page, ann));
    await acquaint([ann, bob]);
    expect(preview).toBe(true);
    const pushes = async (): Promise<number> => Number(await (await fetch(endpoint)).text());
    // The test that the page asks for by itself.
    await expect.poll(pushes).toBe(1);

    await open(bob.page, ann);
    await send(bob.page, ann, "while you are here");
    await expect(chatWith(ann.page, bob)).toContainText("while you are here");
    const worker = await subscribeWorker(ann, endpoint);
    const outside = await ann.context.newPage();
    const push = await pusher(outside, new URL(baseURL ?? "").origin);
    await ann.page.close();

    await send(bob.page, ann, "while you are away");
    await expectState(bob.page, ann, "while you are away", state.sent);
    await expect.poll(pushes).toBe(2);
    const { id, from, to, conversation } = await stored(bob.page, "while you are away");
    const text = "while you are away";
    await push({ v: 1, to, conversation, from, name: bob.name, ids: [id], count: 1, text });
    await expect.poll(() => shown(worker)).toEqual([`${bob.name}: ${text}`]);
    await expectState(bob.page, ann, text, state.delivered);

    const opened = await worker.evaluate(async () => {
      const scope = self as unknown as {
        registration: ServiceWorkerRegistration;
        clients: object;
        dispatchEvent(event: Event): boolean;
      };
      // A script may not open a window unless the user has clicked.
      const address = new Promise<string>((resolve) => {
        Object.assign(scope.clients, { matchAll: async () => [], openWindow: async (url: string) => resolve(url) });
      });
      const [notification] = await scope.registration.getNotifications();
      const Click = Reflect.get(self, "NotificationEvent") as new (type: string, init: object) => Event;
      scope.dispatchEvent(new Click("notificationclick", { notification }));
      return address;
    });
    expect(await shown(worker)).toEqual([]);

    await ann.context.setOffline(true);
    const page = await ann.context.newPage();
    await page.goto(opened);
    await expect(message(page, bob, text)).toBeVisible();
  },
);
