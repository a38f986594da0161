/** Notifications and the badge. */
import type { Platform } from "../../platform/platform";
import type { Attention, Incoming, NoticeOptions, NotificationPermissionState } from "../interface/app";
import type { Chat } from "../interface/chat";
import { type Readable, type Unsubscribe, Value } from "../observable";
import type { Change } from "../store/change";
import type { MessageRow } from "../store/rows";

const DISMISSED = "phoenix.notifications-dismissed";
/** Set when a message arrived while no tab was visible and the user was never asked for permission. */
const DUE = "phoenix.notifications-due";

/** How long the list of conversations may take to show a message that was notified of. */
const LISTED_WITHIN_MS = 5_000;

/** The account whose conversations are followed. */
interface Followed {
  readonly account: string;
  readonly chat: Pick<Chat, "conversations" | "late">;
  readonly ends: readonly Unsubscribe[];
}

/** A notification that was shown. */
interface Notified {
  readonly about: Incoming;
  readonly options: NoticeOptions;
  /** The list has shown the message as unread. */
  seen: boolean;
}

/** Returns what a message is notified of as: a new one, or the reaction of the other user to an own one. */
export function incomingOf(row: MessageRow, uid: string, name: string, hidden: boolean): Incoming | null {
  const { conversation, key, body, changes } = row;
  const mine = row.from === uid;
  const from = mine ? row.to : row.from;
  const reaction = mine ? changes?.reactions?.[from]?.emoji : "";
  if (reaction === undefined || changes?.deleted) return null;
  return { conversation, key, from, name, body, reaction, hidden };
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
  /** The notifications that are shown, by tag. */
  private readonly notified = new Map<string, Notified>();

  /**
   * `notifyTabs` makes the other tabs {@link refresh}: messages arrive in one tab, and the user may look at another.
   */
  constructor(platform: Platform, notifyTabs: () => void) {
    this.platform = platform;
    this.notifyTabs = notifyTabs;
    this.permissionValue = new Value(platform.notifier.permission());
    // The permission can change in the browser's settings while the page is open.
    platform.page.onVisible(() => this.refresh());
    platform.page.onFocused(() => {
      if (platform.page.focused()) this.withdrawReactions();
    });
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

  notify(about: Incoming, options: NoticeOptions): void {
    if (!this.followed) return;
    this.show({ about, options, seen: false }, about.reaction !== "" || options.silent === true);
    this.withdrawRead(); // the list may show it as unread already
    // The message may be read before the list shows it as unread.
    this.platform.clock.after(LISTED_WITHIN_MS, () => this.withdrawRead(true));
  }

  private show(notified: Notified, silent: boolean): void {
    const account = this.followed?.account ?? "";
    const { about, options } = notified;
    const tag = about.reaction === "" ? about.from : `${about.from}/reaction`;
    this.notified.set(tag, notified);
    this.platform.notifier.show({
      account,
      about: { conversation: about.conversation, keys: [about.key] },
      title: options.title,
      body: options.body(about),
      tag,
      silent,
      onOpen: () => {
        if (this.followed?.account === account) options.onOpen();
      },
    });
  }

  /**
   * Withdraws notifications once the list shows that their messages were read, here or on another device, and follows
   * changes of the messages.
   */
  follow(account: string, chat: Followed["chat"]): void {
    if (this.followed?.account !== account) this.platform.notifier.withdrawAll(account);
    this.unfollow();
    const ends = [
      chat.conversations.subscribe(() => this.withdrawRead()),
      chat.late.store.onChange((change) => void this.onChange(change)),
    ];
    this.followed = { account, chat, ends };
  }

  unfollow(): void {
    for (const end of this.followed?.ends ?? []) end();
    this.followed = null;
  }

  /** `late`: the list has had enough time to show every message that was notified of. */
  private withdrawRead(late = false): void {
    const items = this.followed?.chat.conversations.get().all ?? [];
    for (const [tag, notified] of this.notified) {
      const { from, reaction } = notified.about;
      if (reaction !== "") continue; // is never unread
      const unread = items.find((item) => item.user.uid === from)?.unread;
      if (unread !== undefined && unread > 0) notified.seen = true;
      else if (unread === 0 && (notified.seen || late)) this.withdraw(tag);
    }
  }

  private withdrawReactions(): void {
    for (const [tag, { about }] of this.notified) if (about.reaction !== "") this.withdraw(tag);
  }

  private withdraw(tag: string): void {
    this.notified.delete(tag);
    this.platform.notifier.withdraw(tag);
  }

  /** Updates the notifications of messages that have changed, and withdraws those of deleted ones. */
  private async onChange(change: Change): Promise<void> {
    for (const [tag, notified] of this.notified) {
      const { conversation, key, name, body, reaction } = notified.about;
      const { followed } = this;
      if (!followed || !(change.all || change.messages[conversation]?.includes(key))) continue;
      try {
        const row = await followed.chat.late.store.read((tx) => tx.message(conversation, key));
        // Otherwise another notification has replaced this one meanwhile.
        if (!row || this.notified.get(tag) !== notified) continue;
        const about = incomingOf(row, followed.account, name, true);
        if (!about) this.withdraw(tag);
        else if (about.body !== body || about.reaction !== reaction) this.show({ ...notified, about }, true);
      } catch (err) {
        this.platform.report("a message that was notified of could not be read", err);
      }
    }
  }

  badge(count: number): void {
    this.platform.notifier.badge(count);
  }

  /** Handles new messages of other users, and their reactions. */
  received(messages: readonly Incoming[], hidden: boolean): void {
    if (
      hidden &&
      messages.some(({ reaction }) => reaction === "") &&
      this.platform.notifier.permission() === "unasked"
    ) {
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
