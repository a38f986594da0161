/** Short sounds that the browser makes itself, so that nothing has to be loaded. */

export interface Tone {
  /** When it begins, in s from the beginning of the sound. */
  readonly at: number;
  /** The pitch in Hz at the beginning and at the end. */
  readonly from: number;
  readonly to: number;
  /** How long it fades, in s. */
  readonly length: number;
}

/** At full volume, a tone is much louder than the sounds of other pages. */
const VOLUME = 0.2;
/** How long a browser may take to begin. It never does in a page that the user has not used yet. */
const START_MS = 500;
/** How long the output stays open after the last tone, in s. */
const TAIL = 0.5;

let context: AudioContext | null = null;
let closing: ReturnType<typeof setTimeout> | undefined;

/** Plays tones, and resolves once they have begun. False: this browser does not play anything here, or not now. */
export async function play(tones: readonly Tone[]): Promise<boolean> {
  if (typeof AudioContext === "undefined") return false;
  try {
    clearTimeout(closing);
    context ??= new AudioContext();
    const output = context;
    await Promise.race([output.resume(), new Promise((resolve) => setTimeout(resolve, START_MS))]);
    if (output.state !== "running") return false;
    const start = output.currentTime;
    for (const tone of tones) playOne(output, start, tone);
    const length = Math.max(...tones.map(({ at, length }) => at + length)) + TAIL;
    // An open output keeps the sound hardware awake.
    closing = setTimeout(() => void output.suspend(), length * 1_000);
    return true;
  } catch {
    return false; // the browser denies sounds
  }
}

function playOne(output: AudioContext, start: number, { at, from, to, length }: Tone): void {
  const [begin, end] = [start + at, start + at + length];
  const pitch = output.createOscillator();
  pitch.frequency.setValueAtTime(from, begin);
  pitch.frequency.exponentialRampToValueAtTime(to, end);
  const volume = output.createGain();
  volume.gain.setValueAtTime(VOLUME, begin);
  volume.gain.exponentialRampToValueAtTime(VOLUME / 1_000, end);
  pitch.connect(volume).connect(output.destination);
  pitch.start(begin);
  pitch.stop(end);
}
