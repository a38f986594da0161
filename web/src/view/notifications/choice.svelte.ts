const key = "phoenix.notify";

/** Whether this person wants notifications where the browser permits them: taken back in settings without the browser's own. */
class Choice {
  wanted: boolean = $state(read());

  choose(wanted: boolean): void {
    this.wanted = wanted;
    try {
      if (wanted) localStorage.removeItem(key);
      else localStorage.setItem(key, "off");
    } catch {
      // Storage is denied: the choice lasts as long as the page.
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

export const notify = new Choice();
