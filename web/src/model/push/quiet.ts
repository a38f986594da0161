/**
 * When this browser does not want notifications, and with which sound they come. Kept in notes, since both belong to the
 * browser and not to an account. The service worker has copies (PushRow).
 */
import type { Notes } from "../../platform/platform";

export interface Quiet {
  /**
   * Minutes of the local day. It is quiet from `from` until `to` on every day, across midnight if `to` is less. If they are
   * equal, it is not.
   */
  readonly from: number;
  readonly to: number;
  /** A time in ms until which it is quiet as well. 0: none. */
  readonly until: number;
}

export const NO_QUIET: Quiet = { from: 0, to: 0, until: 0 };

export const SOUNDS = ["system", "chime", "drop", "knock", "none"] as const;
/** `system`: the one with which the system shows notifications. Without an open page, it stands for all but `none`. */
export type Sound = (typeof SOUNDS)[number];

const QUIET_NOTE = "phoenix.quiet";
const SOUND_NOTE = "phoenix.sound";

const DAY_MINUTES = 24 * 60;

/** Whether it is quiet at `now`, in ms. */
export function isQuiet({ from, to, until }: Quiet, now: number): boolean {
  if (now < until) return true;
  if (from === to) return false;
  const local = new Date(now);
  const minute = local.getHours() * 60 + local.getMinutes();
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}

export function quietOf(notes: Notes): Quiet {
  try {
    const { from, to, until } = JSON.parse(notes.get(QUIET_NOTE) ?? "{}") as Readonly<Record<string, unknown>>;
    if (minuteOfDay(from) && minuteOfDay(to) && typeof until === "number") return { from, to, until };
  } catch {
    // Not a note of ours.
  }
  return NO_QUIET;
}

function minuteOfDay(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < DAY_MINUTES;
}

export function noteQuiet(notes: Notes, quiet: Quiet): void {
  notes.set(QUIET_NOTE, JSON.stringify(quiet));
}

export function soundOf(notes: Notes): Sound {
  const noted = notes.get(SOUND_NOTE);
  return SOUNDS.find((sound) => sound === noted) ?? "system";
}

export function noteSound(notes: Notes, sound: Sound): void {
  notes.set(SOUND_NOTE, sound);
}

/** Returns when it is next a full hour of the local day. */
export function nextHour(hour: number, now: number): number {
  const day = new Date(now);
  day.setHours(hour, 0, 0, 0);
  if (day.getTime() <= now) day.setDate(day.getDate() + 1);
  return day.getTime();
}

/** Returns the name of the local time zone. */
export function localZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}
