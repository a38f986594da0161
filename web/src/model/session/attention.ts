/** Notifications and the badge. */
import type { Platform } from "../../platform/platform";
import type { Attention, Incoming, NotificationPermissionState } from "../interface/app";
import type { ConversationList } from "../interface/lists";
import { type Readable, type Unsubscribe, Value } from "../observable";

const DISMISSED = "phoenix.notifications-dismissed";
/** Set when a message arrived while no tab was visible and the user was never asked for permission. */
const DUE = "phoenix.notifications-due";

/** How long the list of conversations may take to show a message that was notified of. */
const LISTED_WITHIN_MS = 5_000;

/** The account whose conversations are followed. */
interface Followed {
  readonly account: string;
  readonly list: Readable<ConversationList>;
  readonly end: Unsubscribe;
}

export class AttentionModel implements Attention {
  private readonly platform: Platform;
  private readonly permissionValue: Value<NotificationPermissionState>;
  private readonly offerValue = new Value(false);
  private readonly listeners = new Set<(message: Incoming) => void>();
  private readonly notifyTabs: () => void;
  /** In-memory copy of the note {@link DUE}, for browsers that deny notes. */
  private due = false;
  private followed: Followed | null = null;
  /** The senders of messages that were notified of. True once the list has shown the message as unread. */
  private readonly notified = new Map<string, boolean>();

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

  notify({ title, body, from, onOpen }: { title: string; body: string; from: string; onOpen: () => void }): void {
    const { followed } = this;
    if (!followed) return;
    const { account } = followed;
    this.notified.set(from, false);
    this.platform.notifier.show({
      account,
      title,
      body,
      tag: from,
      onOpen: () => {
        if (this.followed?.account === account) onOpen();
      },
    });
    // The message may be read before the list shows it as unread.
    this.platform.clock.after(LISTED_WITHIN_MS, () => this.withdrawRead(true));
  }

  /** Withdraws notifications once the list shows that their messages were read, here or on another device. */
  follow(account: string, list: Readable<ConversationList>): void {
    if (this.followed?.account !== account) this.platform.notifier.withdrawAll(account);
    this.unfollow();
    this.followed = { account, list, end: list.subscribe(() => this.withdrawRead()) };
  }

  unfollow(): void {
    this.followed?.end();
    this.followed = null;
  }

  /** `late`: the list has had enough time to show every message that was notified of. */
  private withdrawRead(late = false): void {
    const list = this.followed?.list.get();
    const items = list ? [...list.items, ...list.archived] : [];
    for (const [from, seen] of this.notified) {
      const unread = items.find((item) => item.user.uid === from)?.unread;
      if (unread !== undefined && unread > 0) this.notified.set(from, true);
      else if (unread === 0 && (seen || late)) {
        this.notified.delete(from);
        this.platform.notifier.withdraw(from);
      }
    }
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
    this.unfollow();
    this.notified.clear();
    this.platform.notifier.withdrawAll();
    this.platform.notifier.badge(0);
  }
}
