/** Browsers with tabs that run the whole model, on one server and one clock. */
import type { Identity, SignedIn } from "../../net/identity";
import { SignInEnded } from "../../net/connection";
import { ApiProblem } from "../../net/problem";
import type { Database, Shape } from "../../platform/database";
import { FakeClock } from "../../platform/testing/clock";
import { FakeBrowser, FakePlatform, settle } from "../../platform/testing/fake";
import type { Chat } from "../interface/chat";
import { openAccount } from "../chat/open";
import { AppModel, type ChatLoader } from "../session/app";
import { ModelServer } from "./server";

const START_MS = 1_795_348_800_000;
const HOUR_MS = 3_600_000;

/** The sign-in library: remembers in the browser's notes, as Firebase does in its storage. */
class FakeIdentity implements Identity {
  private readonly platform: FakePlatform;
  private readonly house: Household;
  private tokens = 0;

  constructor(platform: FakePlatform, house: Household) {
    this.platform = platform;
    this.house = house;
  }

  async remembered(): Promise<SignedIn | null> {
    const uid = this.platform.notes.get("library.uid");
    return uid === null ? null : { uid, email: `${uid}@example.org` };
  }

  async signIn(email: string, password: string): Promise<SignedIn> {
    if (password !== "correct horse") throw new ApiProblem(400, "wrong_password", "");
    const uid = email.split("@")[0] ?? "";
    this.platform.notes.set("library.uid", uid);
    return { uid, email };
  }

  async signOut(): Promise<void> {
    this.platform.notes.remove("library.uid");
  }

  async reauthenticate(password: string): Promise<void> {
    if (password !== "correct horse") throw new ApiProblem(400, "wrong_password", "");
  }

  async token(_fresh: boolean): Promise<{ value: string; endsAt: number }> {
    const uid = this.platform.notes.get("library.uid");
    if (uid === null || this.house.revoked.has(uid)) throw new SignInEnded("ended");
    return { value: `${uid} ${++this.tokens}`, endsAt: this.platform.clock.now() + HOUR_MS };
  }

  async sendReset(): Promise<void> {}

  async confirmReset(): Promise<string> {
    return "";
  }
}

export interface Tab {
  readonly platform: FakePlatform;
  readonly app: AppModel;
  /** The chat of whoever is signed in; throws where nobody is. */
  chat(): Chat;
}

export interface TabOptions {
  readonly open?: (name: string, shape: Shape) => Promise<Database>;
  /** False: a browser without Web Locks. */
  readonly locks?: boolean;
  /** Loads the code of the chat; at hand where left out. */
  readonly loadChat?: ChatLoader;
}

export class Household {
  readonly clock = new FakeClock(START_MS, settle);
  readonly server = new ModelServer(this.clock);
  /** Whose sign-in was taken back. */
  readonly revoked = new Set<string>();
  online = true;
  private seed = 1;

  /** Draws the next number for all tabs, so that no two make the same ids. */
  private random(): number {
    this.seed = (this.seed * 48271) % 2147483647;
    return this.seed / 2147483647;
  }

  async tab(browser = new FakeBrowser(), options: TabOptions = {}): Promise<Tab> {
    const platform = new FakePlatform({
      clock: this.clock,
      browser,
      random: () => this.random(),
      ...(options.open ? { open: options.open } : {}),
    });
    platform.locks = options.locks !== false;
    platform.onSocket = (socket) => {
      if (this.online) this.server.open(socket);
      else this.clock.after(1, () => socket.drop(1006));
    };
    platform.answer = async (request) => {
      const uid = (request.headers["authorization"] ?? "").replace("Bearer ", "").split(" ")[0] ?? "";
      return await this.server.archive.answer(uid, request);
    };
    const app = new AppModel(
      platform,
      async () => new FakeIdentity(platform, this),
      options.loadChat ?? (async () => ({ openAccount })),
    );
    await app.start();
    await this.clock.advance(0);
    return {
      platform,
      app,
      chat: () => {
        const session = app.session.get();
        if (session.state !== "signed-in") throw new Error(`nobody is signed in: ${session.state}`);
        return session.chat;
      },
    };
  }

  /** A tab in a browser of its own, signed in and connected. */
  async person(uid: string, browser = new FakeBrowser(), options: TabOptions = {}): Promise<Tab> {
    if (!this.server.archive.people.has(uid)) {
      this.server.archive.people.set(uid, {
        uid,
        username: uid.toLowerCase(),
        display_name: uid.replace(/[A-Z0-9].*/, ""),
      });
    }
    const tab = await this.tab(browser, options);
    const outcome = await tab.app.signIn(`${uid}@example.org`, "correct horse");
    if (!outcome.ok) throw new Error(outcome.problem.message);
    await this.pass(1_000);
    return tab;
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  /** The network goes, or comes back. */
  setOnline(online: boolean): void {
    this.online = online;
    if (!online) this.server.drop();
  }
}
