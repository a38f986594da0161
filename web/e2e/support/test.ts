/** The test function of the tests of the whole system. Its fixtures open browsers for users. */
import { test as base, type BrowserContext, type BrowserContextOptions, type Page } from "@playwright/test";
import { createAccount, type SignIn, storedSignIn } from "./accounts";
import { acquaint } from "./acquaint";
import { Sockets } from "./sockets";
import { expectSignedIn } from "./steps";
import { type System, system } from "./system";
import { newUser, type User } from "./user";

/** A user at a browser of their own. */
export interface Visitor extends User {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Every socket of this browser goes through here. */
  readonly sockets: Sockets;
}

export interface Where {
  readonly of?: System;
  /** The address to open; the list of chats by default. */
  readonly place?: string;
  readonly options?: BrowserContextOptions;
  /** The sign-in. Without one, the user signs in with the password. */
  readonly as?: SignIn;
}

interface Fixtures {
  /** Opens a browser for somebody who has no account yet. It is closed with the test. */
  visitor: (name: string, options?: BrowserContextOptions) => Promise<Visitor>;
  /** Opens a browser in which `user`, who has an account, is signed in. */
  signedIn: (user: User, where?: Where) => Promise<Visitor>;
  /** Whether the users of a test are strangers, whose first messages are requests. */
  strangers: boolean;
  /**
   * Creates an account and opens a browser in which its user is signed in. The user and those of earlier calls have
   * accepted each other, unless they are to be strangers.
   */
  user: (name: string, options?: BrowserContextOptions) => Promise<Visitor>;
}

export const test = base.extend<Fixtures>({
  // Known only while the system runs, so it is not in the configuration.
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
      return { ...newUser(name), context, page: await context.newPage(), sockets };
    });
    for (const context of contexts) await context.close();
  },
  signedIn: async ({ visitor }, use) => {
    await use(async ({ name, username, email, password }, { of = system(), place = "/", options = {}, as } = {}) => {
      const storageState = await storedSignIn({ name, username, email, password }, of, as);
      const at = await visitor(name, { baseURL: of.url, ...options, storageState });
      await at.page.goto(place);
      if (place === "/") await expectSignedIn(at.page);
      return { ...at, name, username, email, password };
    });
  },
  strangers: [false, { option: true }],
  user: async ({ signedIn, strangers }, use) => {
    const before: Visitor[] = [];
    await use(async (name, options) => {
      const user = newUser(name);
      await createAccount(user);
      const at = await signedIn(user, options === undefined ? {} : { options });
      const others = [...before];
      before.push(at);
      if (!strangers) for (const other of others) await acquaint([at, other]);
      return at;
    });
  },
});

export { expect } from "@playwright/test";
export { acquaint } from "./acquaint";
export { newUser, type User } from "./user";
export { backend, engines, everywhere, whole } from "./browser";
