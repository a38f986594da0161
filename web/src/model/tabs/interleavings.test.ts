import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FakeBrowser } from "../../platform/testing/fake";
import { Value } from "../observable";
import { Household, type Tab } from "../testing/household";
import { Sleep } from "./sleep";

/**
 * One user with a browser of several tabs that open, close, freeze, thaw and sleep while they write. In the end, every
 * tab shows the same, nothing is lost, and there is one socket.
 */
const ALICE = "aliceUid0001";
const BOB = "bobUid000002";

type Command =
  | { readonly do: "send" | "kill" | "freeze" | "thaw" | "hide" | "show" | "read"; readonly tab: number }
  | { readonly do: "open" | "drop" | "wipe" | "answer" | "hide all" }
  | { readonly do: "network"; readonly up: boolean }
  | { readonly do: "pass"; readonly ms: number };

const tab = fc.nat({ max: 2 });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), tab }) },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "kill" as const,
        "freeze" as const,
        "thaw" as const,
        "hide" as const,
        "show" as const,
        "read" as const,
      ),
      tab,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("open" as const, "open" as const, "drop" as const, "wipe" as const, "answer" as const),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "hide all" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("network" as const), up: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.constantFrom(0, 3, 60, 900, 1_100, 7_000, 65_000, 150_000, 930_000),
    }),
  },
);

/** How often the device slept, in all runs. */
let slept = 0;

function letSleep(tab: Tab): Tab {
  new Sleep(tab.chat().late, { proved: new Value(true), verify: async () => undefined });
  return tab;
}

class World {
  readonly house = new Household();
  private readonly browser = new FakeBrowser();
  private bob!: Tab;
  private tabs: (Tab | null)[] = [null, null, null];
  private readonly bodies: string[] = [];

  async start(): Promise<void> {
    this.bob = await this.house.user(BOB);
    this.tabs[0] = letSleep(await this.house.user(ALICE, this.browser));
  }

  private active(n: number): Tab | null {
    const found = this.tabs[n] ?? null;
    return found && !found.platform.frozen ? found : null;
  }

  async run(c: Command): Promise<void> {
    switch (c.do) {
      case "send": {
        const sender = this.active(c.tab);
        if (!sender) return;
        const body = `message ${this.bodies.length}`;
        const outcome = await sender.chat().conversation(BOB).send(body);
        if (outcome.ok) this.bodies.push(body);
        return;
      }
      case "answer": {
        const body = `answer ${this.bodies.length}`;
        await this.bob.chat().conversation(ALICE).send(body);
        this.bodies.push(body);
        return;
      }
      case "read": {
        const reader = this.active(c.tab);
        if (!reader) return;
        const conversation = reader.chat().conversation(BOB);
        await this.house.pass(50);
        const last = conversation.timeline
          .get()
          .items.filter((m) => !m.mine)
          .pop();
        if (last) conversation.markRead(last.key);
        conversation.close();
        return;
      }
      case "kill":
        this.tabs[c.tab]?.platform.kill();
        this.tabs[c.tab] = null;
        return;
      case "freeze":
        this.tabs[c.tab]?.platform.freeze();
        return;
      case "thaw":
        if (this.tabs[c.tab]?.platform.frozen) this.tabs[c.tab]?.platform.thaw();
        return;
      case "hide":
      case "show":
        this.active(c.tab)?.platform.setVisible(c.do === "show");
        return;
      case "hide all":
        // In most cases, the device sleeps then.
        for (let n = 0; n < 3; n++) this.active(n)?.platform.setVisible(false);
        await this.house.pass(150_000);
        if (this.house.server.socketsOf(ALICE) === 0) slept++;
        return;
      case "open": {
        const free = this.tabs.indexOf(null);
        if (free >= 0) this.tabs[free] = letSleep(await this.house.tab(this.browser));
        return;
      }
      case "drop":
        this.house.server.drop(ALICE);
        return;
      case "wipe":
        this.house.server.wipe();
        return;
      case "network":
        this.house.setOnline(c.up);
        return;
      case "pass":
        await this.house.pass(c.ms);
        return;
    }
  }

  async verify(): Promise<void> {
    this.house.setOnline(true);
    for (let n = 0; n < 3; n++) await this.run({ do: "thaw", tab: n });
    for (let n = 0; n < 2; n++) await this.run({ do: "open" });
    for (let n = 0; n < 3; n++) await this.run({ do: "show", tab: n });
    await this.house.pass(40 * 60_000);
    expect(this.house.server.socketsOf(ALICE)).toBe(1);
    expect(this.house.server.faults).toEqual([]);
    const shown: unknown[] = [];
    for (const open of [...this.tabs, this.bob]) {
      if (!open) continue;
      const conversation = open.chat().conversation(open === this.bob ? ALICE : BOB);
      await this.house.pass(200);
      while (!conversation.timeline.get().complete) await conversation.loadOlder();
      const items = conversation.timeline.get().items;
      expect(items.map((m) => m.body).sort()).toEqual([...this.bodies].sort());
      for (const item of items) expect(["delivered", "read"]).toContain(item.state);
      shown.push(items.map((m) => m.key));
      if (open !== this.bob) expect(open.chat().connection.get().state).toBe("online");
    }
    for (const other of shown) expect(other).toEqual(shown[0]);
    const unread = this.tabs.flatMap((t) => (t ? [t.chat().unreadTotal.get()] : []));
    expect(new Set(unread).size).toBe(1);
  }
}

describe("tabs that open, close, freeze, thaw and sleep", () => {
  test("lose nothing, show the same, and end with one socket", { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
        const world = new World();
        await world.start();
        for (const c of commands) await world.run(c);
        await world.verify();
      }),
      {
        numRuns: Number(process.env["PHOENIX_RUNS"] ?? "25"),
        ...(process.env["PHOENIX_SEED"] ? { seed: Number(process.env["PHOENIX_SEED"]) } : {}),
      },
    );
    expect(slept).toBeGreaterThan(0);
  });
});
