/** Notifications and the badge. */
import type { Platform } from "../../platform/platform";
import type { Attention, Incoming, NotificationPermissionState } from "../interface/app";
import { type Readable, type Unsubscribe, Value } from "../observable";

const DISMISSED = "phoenix.notifications-dismissed";

export class Attract implements Attention {
  private readonly platform: Platform;
  private readonly permissionValue: Value<NotificationPermissionState>;
  private readonly offerValue = new Value(false);
  private readonly listeners = new Set<(message: Incoming) => void>();

  constructor(platform: Platform) {
    this.platform = platform;
    this.permissionValue = new Value(platform.notifier.permission());
    // It may be changed in the browser's settings while the page is open.
    platform.page.onVisible(() => this.permissionValue.set(platform.notifier.permission()));
  }

  get permission(): Readable<NotificationPermissionState> {
    return this.permissionValue;
  }

  get offer(): Readable<boolean> {
    return this.offerValue;
  }

  async ask(): Promise<NotificationPermissionState> {
    const answer = await this.platform.notifier.ask();
    this.permissionValue.set(answer);
    this.offerValue.set(false);
    return answer;
  }

  dismissOffer(): void {
    this.platform.notes.set(DISMISSED, "1");
    this.offerValue.set(false);
  }

  onIncoming(run: (message: Incoming) => void): Unsubscribe {
    this.listeners.add(run);
    return () => this.listeners.delete(run);
  }

  notify(options: { title: string; body: string; tag: string; onOpen: () => void }): void {
    this.platform.notifier.show(options);
  }

  badge(count: number): void {
    this.platform.notifier.badge(count);
  }

  /** Messages of others came. */
  received(messages: readonly Incoming[], hidden: boolean): void {
    if (hidden && messages.length > 0 && this.platform.notifier.permission() === "unasked" && this.platform.notes.get(DISMISSED) === null) {
      this.offerValue.set(true);
    }
    for (const message of messages) for (const run of [...this.listeners]) run(message);
  }

  /** Another person sits here now. */
  forget(): void {
    this.offerValue.set(false);
    this.platform.notifier.badge(0);
  }
}
