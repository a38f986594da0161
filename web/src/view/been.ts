/** Small notes of the view in localStorage. */

const beenKey = "phoenix.been";

/** Remembers that somebody has signed in with this browser, so that the next visitor is asked to sign in, not up. */
export function noteBeen(): void {
  writeNote(beenKey, "1");
}

export function hasBeen(): boolean {
  return readNote(beenKey) !== null;
}

export function readNote(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // the browser denies storage
  }
}

export function writeNote(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // The browser denies storage, so the value lasts as long as the page.
  }
}
