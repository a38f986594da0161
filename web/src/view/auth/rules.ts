import { authText } from "../../text/auth";
import { fold } from "../../text/folding";

/** The rules of the forms. They match those of the server, and are checked while the user types. */

export const limits = { password: 8, username: [3, 30], name: 50 } as const;

const words = authText.errors;

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

export function emailError(typed: string): string {
  const email = emailOf(typed);
  if (email === "") return words.emailMissing;
  // Rejects only what is surely wrong. The email that is sent decides the rest.
  if (!/^[^\s@]+@[^\s@]+\.[^\s@.]+$/u.test(email)) return words.emailForm;
  const [local = ""] = email.split("@");
  if (!ASCII.test(local)) return words.emailLetters;
  return ASCII.test(email) ? "" : words.emailForm;
}

const ASCII = /^[!-~]*$/u;

/**
 * Returns the email address that is meant by a typed one. Mail servers know a domain such as "bücher.example" only in
 * its ASCII form, and only that form has an account. An address whose domain has no such form is returned unchanged.
 */
export function emailOf(typed: string): string {
  const email = typed.normalize("NFKC").trim();
  const at = email.lastIndexOf("@") + 1;
  const domain = email.slice(at);
  if (at === 0 || ASCII.test(domain) || /[/:?#@\\]/u.test(domain)) return email;
  try {
    return email.slice(0, at) + new URL(`http://${domain}`).hostname;
  } catch {
    return email;
  }
}

/**
 * Returns the username that is meant by a typed one: in lower case, without white space around it, and with dots in
 * place of white space within it. The field keeps what was typed, because changing it would move the caret and break
 * input methods.
 */
export function usernameOf(typed: string): string {
  return typed.normalize("NFKC").trim().toLowerCase().replace(/\s+/gu, ".");
}

/** Returns a username made from a name, as a proposal: "elodie.a" for "Élodie Ä.". */
export function usernameFrom(name: string): string {
  return fold(name)
    .replace(/[^a-z0-9]+/gu, ".")
    .replace(/^\.+|\.+$/gu, "")
    .slice(0, limits.username[1])
    .replace(/\.+$/u, "");
}
