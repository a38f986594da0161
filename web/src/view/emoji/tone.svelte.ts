import { TONES } from "../../model/emoji/emojis";
import { readNote, writeNote } from "../been";

const key = "phoenix.tone";

/** The tone of skin that the user has chosen in this browser. */
class Tone {
  now: string = $state(TONES.find((tone) => tone === readNote(key)) ?? "");

  choose(tone: string): void {
    this.now = tone;
    writeNote(key, tone === "" ? null : tone);
  }
}

export const tone = new Tone();
