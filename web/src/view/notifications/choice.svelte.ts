const key = "phoenix.notify";

/** Whether the user wants notifications, apart from the permission of the browser. The settings can turn them off. */
class NotificationChoice {
  wanted: boolean = $state(read());

  choose(wanted: boolean): void {
    this.wanted = wanted;
    try {
      if (wanted) localStorage.removeItem(key);
      else localStorage.setItem(key, "off");
    } catch {
      // The browser denies storage, so the choice lasts as long as the page.
    }
  }
}

function read(): boolean {
  try {
    return localStorage.getItem(key) !== "off";
  } catch {
    return true;
  }
}

export const notify = new NotificationChoice();
