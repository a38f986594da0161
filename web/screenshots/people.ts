/** Who is in the pictures, and what they wrote to each other. */
import type { Account } from "../e2e/support/test";

function someone(name: string, username: string): Account {
  return { name, username, email: `${username}@example.org`, password: "warm embers at night" };
}

export const me = someone("Mara Lindqvist", "mara");
export const jonas = someone("Jonas Okafor", "jonas");
export const lea = someone("Léa Fontaine", "lea.fontaine");
export const tomasz = someone("Tomasz Wójcik", "tomasz");
export const noor = someone("Noor Haddad", "noor");
export const yuki = someone("Yuki Miyazaki", "yuki");
export const eli = someone("Eli Stern", "eli.stern");
export const priya = someone("Priya Raman", "priya");

export const dmitri = someone("Dmitri Sokolov", "dmitri");
/** They have an account, and appear among the people. */
export const others = [
  jonas,
  lea,
  tomasz,
  noor,
  yuki,
  eli,
  priya,
  dmitri,
  someone("Anton Berg", "anton"),
  someone("Chiara Russo", "chiara"),
];

/** A line of a conversation: minutes before now (the day before yesterday and so on by larger numbers), who says it, and what. */
export interface Line {
  readonly ago: number;
  readonly from: Account;
  readonly body: string;
  /** Answers the line with this number. */
  readonly answers?: number;
}

const day = 24 * 60;

/** With Jonas, who is there and reads along. */
export const long: readonly Line[] = [
  { ago: 2 * day + 31, from: jonas, body: "Did the kiln survive the move?" },
  { ago: 2 * day + 26, from: me, body: "It did. The shelf did not." },
  { ago: 2 * day + 25, from: me, body: "I have the pieces in a box, in case you still want to try your glue on them." },
  { ago: 2 * day + 12, from: jonas, body: "Bring the box. I have nothing to lose but a weekend." },
  {
    ago: day + 190,
    from: me,
    body: "The new one arrives Thursday. Could you help me carry it up? Third floor, no lift, and I am told it weighs as much as a calf.",
  },
  { ago: day + 171, from: jonas, body: "Thursday works. After four?" },
  { ago: day + 170, from: me, body: "Half past four. I will make soup." },
  { ago: day + 168, from: jonas, body: "Then I will bring bread, and Priya. She carries better than I do." },
  { ago: 47, from: jonas, body: "Are you on the train already?" },
  { ago: 44, from: me, body: "In the tunnel. No signal, but I can write anyway." },
  { ago: 38, from: jonas, body: "It just came through. All three at once." },
  {
    ago: 12,
    from: jonas,
    body: "This is the shelf I meant, the one with the oak sides:\nhttps://example.org/shelves/oak-140",
  },
  { ago: 9, from: me, body: "That is the one. 140 wide fits under the window.", answers: 11 },
  { ago: 8, from: me, body: "Shall I order two?" },
  { ago: 3, from: jonas, body: "Two. See you at eight." },
];

/** What was said last with the others. `unread` lines wait to be seen; the other has `read` the own ones, has them (`delivered`), or was not here since (`sent`). */
export interface Talk {
  readonly with: Account;
  readonly lines: readonly Line[];
  readonly unread: number;
  readonly theirs: "read" | "delivered" | "sent";
}

export const short: readonly Talk[] = [
  {
    with: priya,
    unread: 0,
    theirs: "read",
    lines: [
      { ago: 5 * day, from: priya, body: "The lease is signed." },
      { ago: 5 * day - 4, from: me, body: "Congratulations. When do we paint?" },
    ],
  },
  {
    with: eli,
    unread: 0,
    theirs: "read",
    lines: [
      { ago: 3 * day + 120, from: me, body: "I left your umbrella at the front desk." },
      { ago: 3 * day + 60, from: eli, body: "Thank you. It has already rained on me twice." },
    ],
  },
  {
    with: yuki,
    unread: 0,
    theirs: "read",
    lines: [
      { ago: day + 400, from: yuki, body: "Thank you for the pictures. The one by the lake is my favourite." },
      { ago: day + 390, from: me, body: "I will print it for you, large." },
    ],
  },
  {
    with: tomasz,
    unread: 0,
    theirs: "delivered",
    lines: [
      { ago: day + 300, from: tomasz, body: "Minutes of the meeting are in the folder." },
      { ago: day + 20, from: me, body: "Read them. One thing about point four, tomorrow." },
    ],
  },
  {
    with: noor,
    unread: 2,
    theirs: "read",
    lines: [
      { ago: 131, from: me, body: "How was the first day?" },
      { ago: 66, from: noor, body: "Long. Everyone is kind and nobody knows where the printer is." },
      { ago: 65, from: noor, body: "Call me tonight?" },
    ],
  },
  {
    with: dmitri,
    unread: 0,
    theirs: "sent",
    lines: [{ ago: 185, from: me, body: "Your book came. I put it on the shelf by the door." }],
  },
  {
    with: lea,
    unread: 1,
    theirs: "read",
    lines: [{ ago: 20, from: lea, body: "The tickets came. Row 7, on the aisle." }],
  },
];
