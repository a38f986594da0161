import type { Notice, Push, PushSubscribed, ShownNotice } from "../platform";

/** A fake of {@link Push}: a push service that hands out subscriptions. */
export class FakePush implements Push {
  current: PushSubscribed | null = null;
  /** While true, nobody can subscribe. */
  refusing = false;
  /** What is shown now, and everything that was. */
  notices: readonly Notice[] = [];
  readonly log: string[] = [];
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

  async show(notice: Notice, { picture, silent }: { picture: Blob | null; silent: boolean }): Promise<void> {
    const { title, body } = notice;
    this.log.push(`${title}: ${body}${silent ? ", silent" : ""}${picture ? ", with a picture" : ""}`);
    this.notices = [...this.notices.filter(({ tag }) => tag !== notice.tag), notice];
  }

  async shown(): Promise<readonly ShownNotice[]> {
    return this.notices.map((notice) => ({
      ...notice,
      close: () => (this.notices = this.notices.filter((other) => other.tag !== notice.tag)),
    }));
  }
}
