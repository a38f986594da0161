// The main journey in WebKit, and every way in which its users load a page again. Teardown and the back-forward cache
// of WebKit differ from those of the other engines (see ../src/platform/absence.ts and ../src/model/tabs/leader.ts).
import { message, open, send } from "./support/steps";
import { acquaint, expect, newUser, test } from "./support/test";
import { ENTER, WebKit } from "./support/webkit";

let webkit: WebKit;
test.beforeEach(async () => {
  webkit = await WebKit.open();
});
test.afterEach(async () => {
  await webkit.close();
});

const SHELL = "document.querySelector('.shell')";
const shows = (text: string): string => `document.body.innerText.includes(${JSON.stringify(text)})`;

test("in WebKit, a chat survives reloads, leaving and Back, and a second window", async ({ user, baseURL }) => {
  const bob = await user("Bob");
  const wanda = newUser("Wanda");
  await test.step("sign up", async () => {
    await webkit.go(`${baseURL}/signup`);
    await webkit.until("document.querySelector('input[name=username]')");
    await webkit.type("input[name=name]", wanda.name);
    await webkit.run("document.querySelector('input[name=username]').select()");
    await webkit.type("input[name=username]", wanda.username);
    await webkit.type("input[name=email]", wanda.email);
    await webkit.type("input[name=password]", wanda.password);
    await webkit.click("button.primary");
    await webkit.until(SHELL);
  });
  await acquaint([bob], [wanda]);

  for (const path of ["/", "/people", `/c/${bob.username}`])
    await test.step(`reload ${path}`, async () => {
      await webkit.go(`${baseURL}${path}`);
      await webkit.until(SHELL);
      for (const sameAddress of [false, false, true]) {
        await webkit.run("window.old = true");
        await (sameAddress ? webkit.go(`${baseURL}${path}`) : webkit.reload());
        await webkit.until(`!window.old && ${SHELL}`);
      }
    });

  await test.step("write", async () => {
    await webkit.until("document.querySelector('textarea')");
    await webkit.type("textarea", `Hello from WebKit${ENTER}`);
    await open(bob.page, wanda);
    await expect(message(bob.page, wanda, "Hello from WebKit")).toBeVisible();
  });

  for (const n of [1, 2, 3])
    await test.step(`leave and come back, ${n}`, async () => {
      await webkit.go(`${baseURL}/settings`);
      await webkit.until(SHELL);
      await send(bob.page, wanda, `while you were away ${n}`);
      await webkit.back();
      await webkit.until(shows(`while you were away ${n}`));
      await send(bob.page, wanda, `and now ${n}`);
      await webkit.until(shows(`and now ${n}`));
    });

  await test.step("a second window takes over", async () => {
    const first = await webkit.currentWindow();
    const second = await webkit.window();
    await webkit.go(`${baseURL}/c/${bob.username}`);
    await webkit.until(shows("and now 3"));
    await webkit.use(first);
    await webkit.reload();
    await webkit.until(shows("and now 3"));
    await send(bob.page, wanda, "to both");
    for (const window of [first, second]) {
      await webkit.use(window);
      await webkit.until(shows("to both"));
    }
    await webkit.use(first);
    await webkit.closeWindow();
    await webkit.use(second);
    await send(bob.page, wanda, "to the one that is left");
    await webkit.until(shows("to the one that is left"));
  });
});
