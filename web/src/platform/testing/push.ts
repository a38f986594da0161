import type { Push, PushSubscribed } from "../platform";

/** A fake of {@link Push}: a push service that hands out subscriptions. */
export class FakePush implements Push {
  current: PushSubscribed | null = null;
  /** While true, nobody can subscribe. */
  refusing = false;
  private count = 0;

  async subscription(): Promise<PushSubscribed | null> {
    return this.current;
  }

  async subscribe(key: string): Promise<PushSubscribed> {
    if (this.refusing) throw new Error("the push service refuses");
    this.current = { endpoint: `https://push.test/${++this.count}`, keys: { p256dh: "p", auth: "a" }, key };
    return this.current;
  }

  async unsubscribe(): Promise<void> {
    this.current = null;
  }
}
