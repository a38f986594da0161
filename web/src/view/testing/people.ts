/** The users of the fake model and their messages. */
import type { Message, User } from "../../model";
import { number, params } from "./options";

export const names: readonly [string, string][] = [
  ["mira.kern", "Mira Kern"],
  ["jonas", "Jonas Ahlgren"],
  ["amina.diallo", "Amina Diallo"],
  ["tomasz", "Tomasz Wójcik"],
  ["yuki", "木村 ゆき"],
  ["omar.f", "عمر فاروق"],
  ["lena", "Lena"],
  ["priya.n", "Priya Natarajan"],
  ["sofia", "Sofía Hernández de la Fuente y Montenegro"],
  ["ben", "Ben O’Connor"],
  ["zalgo", "Z̷̢̛͎͔̐̈́a̵̧̛̘̎l̶̡̛̖̈́g̴̢̛̠͐o̵̧͎̐"],
  ["noor", "Noor"],
  ["elio", "Elio Marchetti"],
  ["hana", "Hana Novotná"],
];
export const people: User[] = Array.from({ length: number("people", 14) }, (_, i) => {
  const base = names[i % names.length] ?? ["x", "X"];
  const n = Math.floor(i / names.length);
  if (i === number("imitator", -1))
    return { uid: `uid${i}aBcDeF`, username: "mallory", displayName: "Мirа\u202e\u200b Kеrn" };
  return {
    uid: `uid${i}aBcDeF`,
    username: base[0] + (n ? `${n}` : ""),
    displayName: base[1] + (n ? ` ${n}` : ""),
    deleted: i === number("gone", -1),
    admin: i === number("badge", -1),
    picture: i < number("pictures", 0) ? `v${i}` : "",
  };
});
export const says = [
  "Are you on the train?",
  "Yes, somewhere before the tunnel.",
  "Then I write now and you read later 🙂",
  "That is how it should be. The tickets are in the blue folder, the one on the shelf beside the window, and the key is under the pot.",
  "Got it.",
  "https://example.org/timetable?from=Bern&to=Basel (the 18:04 is late)",
  "ok",
  "See you at eight then. I will bring the bread, the olives and the long table, and ask Jonas whether he still has those lamps from last summer.",
  "👍",
  "Do not forget the lamps",
  "One more thing:\n- milk\n- two lemons\n- the good butter",
  "هل وصلت؟ أنا في المحطة الآن.",
];
const long = Array.from(
  { length: 40 },
  (_, i) => `Line ${i + 1}: what was said about it, in the order in which it was said.`,
).join("\n");

let serial = 0;
const nextId = (): string => `019${(serial++).toString(16).padStart(9, "0")}-7000-8000-000000000000`;
export const message = (mine: boolean, body: string, time: number, extra: Partial<Message> = {}): Message => ({
  key: nextId(),
  mine,
  body,
  time,
  acceptedTime: null,
  state: "read",
  deliveredTime: mine ? time + 1500 : null,
  refusal: null,
  quote: null,
  ...extra,
});

export function history(count: number, unread: number): Message[] {
  const now = Date.now();
  const out: Message[] = [];
  let t = now - count * 11 * 60_000;
  let mine = false;
  for (let i = 0; i < count; i++) {
    if (i % 3 === 0) mine = !mine;
    t += i % 3 === 0 ? 26 * 60_000 : 60_000;
    out.push(
      message(i >= count - unread ? false : mine, says[i % says.length] ?? "", Math.min(t, now - (count - i) * 20_000)),
    );
  }
  return out;
}

export function showcase(): Message[] {
  const now = Date.now();
  const at = (days: number, h: number, m: number): number => {
    const d = new Date(now - days * 86_400_000);
    d.setHours(h, m, 0, 0);
    return Math.min(d.getTime(), now - 1000);
  };
  const question = message(false, "Are you on the train?", at(1, 18, 4));
  return [
    message(
      false,
      "I found the old map of the valley. It is larger than I remembered, and somebody has drawn our path on it in red pencil.",
      at(3, 9, 12),
    ),
    message(true, "No.", at(3, 9, 14)),
    message(true, "The one with the wrong river?", at(3, 9, 14)),
    message(false, "That very one. https://example.org/maps/valley-1911.", at(3, 9, 20)),
    question,
    message(true, "In the tunnel. No signal, but I can write anyway.", at(1, 18, 6), {
      quote: { key: question.key, mine: false, body: question.body },
    }),
    message(true, "It will leave when it can.", at(1, 18, 6)),
    message(false, "🎉", at(1, 18, 21)),
    message(true, long, at(1, 18, 40)),
    message(false, "a".repeat(400) + " and H̸̡̪̯ͨ͊̽̅̾̎Ȩ̬̩̾͛ͪ̈́̀́͘ ̶̧̨̱̹̭̯ͧ̾ͬC̷̙̲̝͖ͭ̏ͥͮ͟Oͮ͏̮̪̝͍M̲̖͊̒ͪͩͬ̚̚͜Ȇ̴̟̟͙̞ͩ͌͝S̨̥̫͎̭ͯ̿̔̀ͅ <b>not bold</b> \u202Eoverride", at(0, 0, 5)),
    message(false, "هل وصلت؟ أنا في المحطة الآن.", at(0, 0, 7)),
    message(true, "Nearly. Two more stops, then ten minutes on foot.", at(0, 0, 9), { state: "delivered" }),
    message(true, "Shall I bring the bread?", at(0, 0, 9), {
      state: "sent",
      ...(params.has("reverted") && { reverted: { kind: "edit", code: "change_too_early", message: "" } }),
    }),
    message(true, "This one was refused.", at(0, 0, 10), {
      state: "refused",
      refusal: { code: "recipient_unavailable", message: "You cannot write to this person." },
    }),
    message(true, "And the lamps", at(0, 0, 10), { state: "waiting", deliveredTime: null }),
  ];
}
