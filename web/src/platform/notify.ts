/** Notifications and the app badge. */
import type { Notes, Notifier, NotifyPermission } from "./platform";

/**
 * The note that has the account whose pushes come to this browser. The service worker shows them, so it also shows the
 * notifications of pages: two about one conversation replace each other only then.
 */
export const PUSHED_NOTE = "phoenix.push";

export function browserNotifier(notes: Notes): Notifier {
  const supported = typeof Notification !== "undefined";
  const now = (): NotifyPermission => {
    if (!supported) return "unsupported";
    if (Notification.permission === "default") return "unasked";
    return Notification.permission;
  };
  /** Notifications that this page has shown, by tag. */
  const own = new Map<string, { readonly notification: Notification; readonly account: string }>();
  /** Runs `run` for the notifications that the service worker has shown, for this page or an earlier one. */
  const eachStored = async (options: GetNotificationOptions, run: (stored: Notification) => void): Promise<void> => {
    try {
      const worker = await navigator.serviceWorker?.getRegistration();
      for (const stored of (await worker?.getNotifications?.(options)) ?? []) run(stored);
    } catch {
      // The browser denies notifications or workers, so there are none.
    }
  };
  return {
    permission: now,
    async ask() {
      if (!supported) return "unsupported";
      try {
        await Notification.requestPermission();
      } catch {
        // Not called from a click: the browser refuses, and nothing has changed.
      }
      return now();
    },
    show({ account, about, title, body, tag, silent, onOpen }) {
      if (now() !== "granted") return;
      try {
        if (notes.get(PUSHED_NOTE) === account) throw new Error("the worker shows it");
        const shown = new Notification(title, { body, tag, silent });
        own.set(tag, { notification: shown, account });
        shown.onclick = () => {
          window.focus();
          shown.close();
          onOpen();
        };
      } catch {
        // Chrome for Android shows notifications from service workers only.
        void navigator.serviceWorker?.ready
          .then((worker) => worker.showNotification(title, { body, tag, silent, data: { account, ...about } }))
          .catch(() => undefined);
      }
    },
    withdraw(tag) {
      own.get(tag)?.notification.close();
      own.delete(tag);
      void eachStored({ tag }, (stored) => stored.close());
    },
    withdrawAll(account) {
      for (const [tag, shown] of own)
        if (shown.account !== account) {
          shown.notification.close();
          own.delete(tag);
        }
      void eachStored({}, (stored) => {
        if ((stored.data as { account?: unknown } | null)?.account !== account || account === undefined) stored.close();
      });
    },
    badge(count) {
      const set = count > 0 ? navigator.setAppBadge?.(count) : navigator.clearAppBadge?.();
      set?.catch(() => undefined);
    },
  };
}
