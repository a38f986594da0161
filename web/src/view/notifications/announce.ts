import { type Attention, type Chat, cut, type Incoming } from "../../model";
import { isQuiet, quietOf, type Sound, soundOf } from "../../model/push/quiet";
import { pushText } from "../../text/push";
import { shownName } from "../names";
import { play, type Tone } from "./sound";

const TONES: Readonly<Partial<Record<Sound, readonly Tone[]>>> = {
  chime: [
    { at: 0, from: 880, to: 880, length: 0.35 },
    { at: 0.12, from: 1_320, to: 1_320, length: 0.5 },
  ],
  drop: [{ at: 0, from: 440, to: 1_100, length: 0.16 }],
  knock: [
    { at: 0, from: 190, to: 90, length: 0.12 },
    { at: 0.16, from: 170, to: 80, length: 0.12 },
  ],
};

/** Plays one of our own sounds. False: it is none of them, or cannot be played. */
export async function playSound(sound: Sound): Promise<boolean> {
  const tones = TONES[sound];
  return tones !== undefined && (await play(tones));
}

/** Notifies of a message, or of a reaction, with the sound of this browser, unless it is quiet. */
export async function announce(chat: Chat, attention: Attention, message: Incoming, onOpen: () => void): Promise<void> {
  const { clock, notes } = chat.late.platform;
  if (isQuiet(quietOf(notes), clock.now())) return;
  const sound = soundOf(notes);
  const silent = sound === "none" || (message.reaction === "" && (await playSound(sound)));
  const words = pushText();
  attention.notify(message, {
    title: shownName(message.name) || (message.reaction === "" ? words.hidden : words.app),
    body: ({ body, reaction }) => (reaction === "" ? cut(body, 200) : words.reacted(reaction, cut(body, 100))),
    silent,
    onOpen,
  });
}
