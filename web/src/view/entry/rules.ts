import { text } from "../../text";

/** The rules of the forms, as the server has them: checked while typing, so that the server seldom has to say no. */

export const limits = { password: 8, username: [3, 30], name: 50 } as const;

const words = text.entry.errors;

export function nameError(name: string): string {
  if (name.trim() === "") return words.nameMissing;
  if (Array.from(name.trim()).length > limits.name) return words.nameLong(limits.name);
  return "";
}

export function usernameError(username: string): string {
  if (username === "") return words.usernameMissing;
  if (/[^a-z0-9._-]/u.test(username)) return words.usernameForm;
  if (username.length < limits.username[0]) return words.usernameShort;
  if (username.length > limits.username[1]) return words.usernameLong;
  if (/^[._-]|[._-]$/u.test(username)) return words.usernameEnds;
  return "";
}

export function emailError(email: string): string {
  if (email.trim() === "") return words.emailMissing;
  // Only what is surely wrong: the letter decides the rest.
  if (!/^[^\s@]+@[^\s@]+\.[^\s@.]+$/u.test(email.trim())) return words.emailForm;
  return "";
}

export interface Rule {
  readonly words: string;
  readonly met: boolean;
}

/** What a new password must keep, for a list that fills while somebody types. */
export function passwordRules(password: string, username: string, email: string): Rule[] {
  const lower = password.toLowerCase();
  const names = [username, email, email.split("@")[0] ?? ""]
    .map((s) => s.trim().toLowerCase())
    .filter((s) => s.length >= 3);
  return [
    { words: text.entry.rules.length(limits.password), met: Array.from(password).length >= limits.password },
    { words: text.entry.rules.notName, met: password !== "" && !names.includes(lower) },
  ];
}

/** A username made of a name, for people who have not typed one: "Élodie Ä." is "elodie.a". */
export function usernameFrom(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/gu, ".")
    .replace(/^\.+|\.+$/gu, "")
    .slice(0, limits.username[1])
    .replace(/\.+$/u, "");
}
