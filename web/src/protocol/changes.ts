/**
 * Changes of messages (edits, deletions, reactions), and their sum. The twin of realtime/chat/changes.go. Both are
 * tested against the same cases (realtime/chat/testdata/changes.json).
 */
import type { Micros } from "./chat";
import type { Fields } from "./fields";

/** An edit, a deletion for everyone, or a reaction. */
export interface Change {
  readonly id: string;
  readonly conversation: string;
  readonly from: string;
  readonly to: string;
  readonly at: Micros;
  readonly accepted_at: Micros;
  /** The message. Its `at` only says where to look for it. */
  readonly of: { readonly id: string; readonly from: string; readonly at: Micros };
  /** "edit", "delete" or "react". Changes of other kinds have no effect. */
  readonly kind: string;
  readonly body?: string;
  /** Missing: the reaction is withdrawn. */
  readonly emoji?: string;
}

/** Reads the change of an event `change` or `changed`. Throws Malformed if a required field is missing. */
export function readChange(f: Fields): Change {
  const of = f.object("of");
  const emoji = f.optionalText("emoji");
  const kind = f.text("kind");
  return {
    id: f.text("id"),
    conversation: f.text("conversation"),
    from: f.text("from"),
    to: f.text("to"),
    at: f.integer("at", 1),
    accepted_at: f.integer("accepted_at", 1),
    of: { id: of.text("id"), from: of.text("from"), at: of.integer("at", 1) },
    kind,
    ...(f.has("body") && { body: f.textOrEmpty("body") }),
    ...(emoji !== "" && { emoji }),
  };
}

/** The place of a change in the order of changes. */
export interface Place {
  readonly at: Micros;
  readonly id: string;
}

export interface Edited extends Place {
  readonly body: string;
}

export interface Reaction extends Place {
  /** Missing: withdrawn. */
  readonly emoji?: string;
}

/**
 * The sum of the changes of one message. It keeps the place of each change that counts, of a withdrawn reaction too;
 * otherwise an older change that arrives late would win.
 */
export interface Changes {
  readonly edited?: Edited;
  readonly deleted?: Place;
  /** By uid. */
  readonly reactions?: Readonly<Record<string, Reaction>>;
}

/**
 * Returns the effect of a change alone on its message. It is empty if the kind is unknown, if the sender edits or
 * deletes the message of another person, or is not in the conversation.
 */
export function changesOf(
  c: Pick<Change, "id" | "conversation" | "from" | "at" | "kind" | "body" | "emoji"> & {
    readonly of: Pick<Change["of"], "from">;
  },
): Changes {
  if (!c.conversation.split("~").includes(c.from)) return {};
  const place = { at: c.at, id: c.id };
  const own = c.from === c.of.from;
  if (c.kind === "edit" && own) return { edited: { ...place, body: c.body ?? "" } };
  if (c.kind === "delete" && own) return { deleted: place };
  if (c.kind === "react")
    return { reactions: { [c.from]: c.emoji === undefined || c.emoji === "" ? place : { ...place, emoji: c.emoji } } };
  return {};
}

/**
 * Returns the sum of two sets of changes of one message. Of the edits, of the deletions, and of the reactions of each
 * person, the one with the greatest place counts, and of equal places the one with the greater content. A deletion beats
 * all edits and reactions. The order of the arguments does not matter.
 */
export function mergeChanges(a: Changes, b: Changes): Changes {
  const deleted = later(a.deleted, b.deleted, () => "");
  if (deleted) return { deleted };
  const edited = later(a.edited, b.edited, (e) => e.body);
  const reactions: Record<string, Reaction> = { ...a.reactions };
  for (const [uid, reaction] of Object.entries(b.reactions ?? {}))
    reactions[uid] = later(Object.hasOwn(reactions, uid) ? reactions[uid] : undefined, reaction, emojiOf) ?? reaction;
  return { ...(edited && { edited }), ...(Object.keys(reactions).length > 0 && { reactions }) };
}

/** Reads the changes of a saved message. A part that is malformed is left out, as if it were not known yet. */
export function readChanges(f: Fields): Changes {
  const edited = part(f, "edited", (of) => ({ ...placeOf(of), body: of.textOrEmpty("body") }));
  const deleted = part(f, "deleted", placeOf);
  const by = part(f, "reactions", (of) => of);
  const reactions: Record<string, Reaction> = {};
  for (const [uid] of by?.entries() ?? []) {
    const reaction =
      by && part(by, uid, (of) => ({ ...placeOf(of), ...(of.has("emoji") && { emoji: of.text("emoji") }) }));
    if (reaction) reactions[uid] = reaction;
  }
  return mergeChanges({ ...(edited && { edited }), ...(deleted && { deleted }), reactions }, {});
}

function placeOf(f: Fields): Place {
  return { at: f.integer("at", 1), id: f.text("id") };
}

function part<T>(f: Fields, name: string, read: (of: Fields) => T): T | undefined {
  try {
    return f.has(name) ? read(f.object(name)) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `part` adds nothing to `whole`. */
export function includesChanges(whole: Changes, part: Changes): boolean {
  return asText(mergeChanges(whole, part)) === asText(whole);
}

/** Whether there are none. */
export function noChanges(changes: Changes): boolean {
  return asText(changes) === asText({});
}

/** Returns a text that is the same for the same changes. */
function asText({ edited, deleted, reactions = {} }: Changes): string {
  const by = Object.entries(reactions).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    edited && [edited.at, edited.id, edited.body],
    deleted && [deleted.at, deleted.id],
    by.map(([uid, r]) => [uid, r.at, r.id, r.emoji]),
  ]);
}

/** Returns the body of the changed message, which had the given body when it was sent. */
export function changedBody(changes: Changes, sent: string): string {
  return changes.deleted ? "" : (changes.edited?.body ?? sent);
}

function emojiOf(reaction: Reaction): string {
  return reaction.emoji ?? "";
}

/** Returns the one that is not before the other. */
function later<T extends Place>(a: T | undefined, b: T | undefined, content: (of: T) => string): T | undefined {
  if (!a || !b) return a ?? b;
  const order = a.at - b.at || compare(a.id, b.id) || compare(content(a), content(b));
  return order < 0 ? b : a;
}

/** Compares texts as UTF-8 bytes do, which is by code points. JavaScript compares UTF-16 units. */
function compare(a: string, b: string): number {
  const left = Array.from(a);
  const right = Array.from(b);
  for (const [i, x] of left.entries()) {
    const y = right[i];
    if (y === undefined) return 1;
    if (x !== y) return (x.codePointAt(0) ?? 0) - (y.codePointAt(0) ?? 0);
  }
  return left.length - right.length;
}
