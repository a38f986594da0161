/** Notifications and the app badge. */
import type { Notifier, NotifyPermission } from "./platform";

export function browserNotifier(): Notifier {
  const supported = typeof Notification !== "undefined";
  const now = (): NotifyPermission => {
    if (!supported) return "unsupported";
    if (Notification.permission === "default") return "unasked";
    return Notification.permission;
  };
  return {
    permission: now,
    async ask() {
      if (!supported) return "unsupported";
      try {
        await Notification.requestPermission();
      } catch {
        // Not asked from a click: the browser refuses, and nothing has changed.
      }
      return now();
    },
    show({ title, body, tag, onOpen }) {
      if (now() !== "granted") return;
      try {
        const shown = new Notification(title, { body, tag });
        shown.onclick = () => {
          window.focus();
          shown.close();
          onOpen();
        };
      } catch {
        // Chrome for Android shows notifications from service workers only.
        void navigator.serviceWorker?.ready
          .then((worker) => worker.showNotification(title, { body, tag }))
          .catch(() => undefined);
      }
    },
    badge(count) {
      const set = count > 0 ? navigator.setAppBadge?.(count) : navigator.clearAppBadge?.();
      set?.catch(() => undefined);
    },
  };
}
