import { authText } from "../../text/auth";
import { fold } from "../../text/folding";
import { limits } from "./rules";

/** The rule for new passwords, as the server has it (functions/password). */

export interface Rule {
  readonly words: string;
  /** Null: not known before the list of common passwords is loaded. */
  readonly met: boolean | null;
}

const plain = (s: string): string => s.normalize("NFC").toLowerCase();
/** Returns the letters and digits of a name in its plain spelling. */
const lettersOf = (s: string): string => fold(s).replace(/[^\p{L}\p{N}\p{M}]/gu, "");

/** The most common passwords; see Accounts.commonPasswords. */
export type Common = ReadonlySet<string>;

/**
 * Returns the rules for a new password of somebody with these names, and whether each is met. Of an email address, the
 * part before the @ is a name, too. A password is also a name if both have the same letters and digits. `common` is null
 * while it is being loaded.
 */
export function passwordRules(password: string, names: readonly string[], common: Common | null): Rule[] {
  const lower = plain(password);
  const characters = Array.from(lower);
  const letters = lettersOf(password);
  const own = names
    .flatMap((name) => [name, name.split("@")[0] ?? ""])
    .some((name) => name !== "" && (lower === plain(name) || (letters !== "" && letters === lettersOf(name))));
  const long = Array.from(password.normalize("NFC")).length >= limits.password;
  const repeated = lower.trim() === "" || characters.every((c) => c === characters[0]);
  const { rules } = authText;
  return [
    { words: rules.length(limits.password), met: long },
    { words: rules.notName, met: password !== "" && !own },
    {
      words: rules.notCommon,
      met: long && !repeated && (common === null ? null : !common.has(lower)),
    },
  ];
}

/** Returns the first rule that is known to be broken; empty if there is none. */
export function passwordFault(rules: readonly Rule[]): string {
  return rules.find((rule) => rule.met === false)?.words ?? "";
}
