/** Notifications and the badge. */
import type { Platform } from "../../platform/platform";
import type { Attention, Incoming, NotificationPermissionState } from "../interface/app";
import { type Readable, type Unsubscribe, Value } from "../observable";

const DISMISSED = "phoenix.notifications-dismissed";
/** Set when a message arrived while no tab was visible and the user was never asked for permission. */
const DUE = "phoenix.notifications-due";

export class AttentionModel implements Attention {
  private readonly platform: Platform;
  private readonly permissionValue: Value<NotificationPermissionState>;
  private readonly offerValue = new Value(false);
  private readonly listeners = new Set<(message: Incoming) => void>();
  private readonly notifyTabs: () => void;
  /** In-memory copy of the note {@link DUE}, for browsers that deny notes. */
  private due = false;

  /**
   * `notifyTabs` makes the other tabs {@link refresh}: messages arrive in one tab, and the user may look at another.
   */
  constructor(platform: Platform, notifyTabs: () => void) {
    this.platform = platform;
    this.notifyTabs = notifyTabs;
    this.permissionValue = new Value(platform.notifier.permission());
    // The permission can change in the browser's settings while the page is open.
    platform.page.onVisible(() => this.refresh());
  }

  get permission(): Readable<NotificationPermissionState> {
    return this.permissionValue;
  }

  get offer(): Readable<boolean> {
    return this.offerValue;
  }

  async ask(): Promise<NotificationPermissionState> {
    const answer = await this.platform.notifier.ask();
    this.onAnswered();
    return answer;
  }

  dismissOffer(): void {
    this.platform.notes.set(DISMISSED, "1");
    this.onAnswered();
  }

  /** Updates the permission and the offer from what happened in any tab of this browser. */
  refresh(): void {
    const { notifier, notes } = this.platform;
    const permission = notifier.permission();
    this.permissionValue.set(permission);
    const due = this.due || notes.get(DUE) !== null;
    this.offerValue.set(due && permission === "unasked" && notes.get(DISMISSED) === null);
  }

  /** Clears the offer in all tabs after the user has answered. */
  private onAnswered(): void {
    this.due = false;
    this.platform.notes.remove(DUE);
    this.refresh();
    this.notifyTabs();
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

  /** Handles new messages of other users. */
  received(messages: readonly Incoming[], hidden: boolean): void {
    if (hidden && messages.length > 0 && this.platform.notifier.permission() === "unasked") {
      this.due = true;
      this.platform.notes.set(DUE, "1");
      this.refresh();
      this.notifyTabs();
    }
    for (const message of messages) for (const run of [...this.listeners]) run(message);
  }

  /** Forgets everything, because the account has changed. */
  reset(): void {
    this.due = false;
    this.platform.notes.remove(DUE);
    this.refresh();
    this.platform.notifier.badge(0);
  }
}
