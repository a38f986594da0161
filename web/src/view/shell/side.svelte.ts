import { readNote, writeNote } from "../been";

const key = "phoenix.side";

/** The narrowest list, in CSS pixels. */
export const MIN = 240;
export const max = (): number => Math.max(MIN, Math.min(480, innerWidth / 2));

/** The width of the list that the user has chosen on this device, in CSS pixels; null if none. */
class Side {
  width: number | null = $state(Number(readNote(key)) || null);

  choose(width: number | null): void {
    this.width = width === null ? null : Math.round(Math.max(MIN, Math.min(max(), width)));
    writeNote(key, this.width === null ? null : String(this.width));
  }
}

export const side = new Side();
