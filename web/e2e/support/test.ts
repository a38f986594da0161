/** The test function of these tests, with people as fixtures. */
import { test as base, type BrowserContext, type BrowserContextOptions, type Page } from "@playwright/test";
import { type Account, account } from "./account";
import { Sockets } from "./sockets";
import { signUp } from "./steps";
import { system } from "./system";

/** Somebody at a browser. */
export interface Person extends Account {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Every socket that this browser opens goes through here. */
  readonly sockets: Sockets;
}

interface Fixtures {
  /** Opens a browser of their own for somebody without an account; closed with the test. */
  visitor: (name: string, options?: BrowserContextOptions) => Promise<Person>;
  /** The same for somebody who has signed up through the form and is in. */
  person: (name: string, options?: BrowserContextOptions) => Promise<Person>;
}

export const test = base.extend<Fixtures>({
  // Known only once the system runs, so not in the configuration.
  baseURL: async ({}, use) => use(system().url),
  visitor: async ({ browser, baseURL, contextOptions }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async (name, options) => {
      const context = await browser.newContext({
        ...contextOptions,
        ...(baseURL === undefined ? {} : { baseURL }),
        ...options,
      });
      contexts.push(context);
      const sockets = new Sockets();
      await sockets.watch(context);
      return { ...account(name), context, page: await context.newPage(), sockets };
    });
    for (const context of contexts) await context.close();
  },
  person: async ({ visitor }, use) => {
    await use(async (name, options) => {
      const someone = await visitor(name, options);
      await signUp(someone.page, someone);
      return someone;
    });
  },
});

export { expect } from "@playwright/test";
export { type Account, account } from "./account";
export { engines, everywhere, whole } from "./browser";
