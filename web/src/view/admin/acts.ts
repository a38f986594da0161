import type { Admin, AdminUser, Outcome } from "../../model";
import { adminText } from "../../text/admin";

/** Something that is done to a person after a question. */
export interface Act {
  readonly title: string;
  /** What will happen, spelled out. */
  readonly long: string;
  readonly button: string;
  readonly danger: boolean;
  /** Typed to go on, for what cannot be undone; "" needs nothing. */
  readonly confirm: string;
  readonly done: string;
  /** Does it; the value is the person as they are now, null where they are gone. */
  run(admin: Admin, reason: string): Promise<Outcome<AdminUser | null>>;
}

const words = adminText.acts;

export type ActName = "makeAdmin" | "unmakeAdmin" | "disable" | "enable" | "signOut" | "reset" | "remove";

/** What an act asks, says and does for this person. */
export function actOn(name: ActName, user: AdminUser): Act {
  const who = user.displayName || user.username;
  const same = async (outcome: Promise<Outcome>): Promise<Outcome<AdminUser | null>> => {
    const got = await outcome;
    return got.ok ? { ok: true, value: user } : got;
  };
  const act = (
    title: string,
    long: string,
    button: string,
    done: string,
    run: Act["run"],
    more: Partial<Act> = {},
  ): Act => ({
    title,
    long,
    button,
    done,
    run,
    danger: false,
    confirm: "",
    ...more,
  });
  switch (name) {
    case "makeAdmin":
      return act(
        words.makeAdminTitle(who),
        words.makeAdminLong,
        words.makeAdmin,
        words.done.makeAdmin(who),
        (admin, reason) => admin.changeUser(user.uid, { admin: true }, reason),
      );
    case "unmakeAdmin":
      return act(
        words.unmakeAdminTitle(who),
        words.unmakeAdminLong,
        words.unmakeAdmin,
        words.done.unmakeAdmin(who),
        (admin, reason) => admin.changeUser(user.uid, { admin: false }, reason),
        { danger: true },
      );
    case "disable":
      return act(
        words.disableTitle(who),
        words.disableLong,
        words.disable,
        words.done.disable(who),
        (admin, reason) => admin.changeUser(user.uid, { disabled: true }, reason),
        { danger: true },
      );
    case "enable":
      return act(words.enableTitle(who), words.enableLong, words.enable, words.done.enable(who), (admin, reason) =>
        admin.changeUser(user.uid, { disabled: false }, reason),
      );
    case "signOut":
      return act(words.signOutTitle(who), words.signOutLong, words.signOut, words.done.signOut(who), (admin, reason) =>
        same(admin.signOutEverywhere(user.uid, reason)),
      );
    case "reset":
      return act(
        words.resetTitle(who),
        words.resetLong(user.email),
        words.reset,
        words.done.reset(who),
        (admin, reason) => same(admin.sendPasswordReset(user.uid, reason)),
      );
    case "remove":
      return act(
        words.removeTitle(who),
        words.removeLong,
        words.remove,
        words.done.remove(who),
        async (admin, reason) => {
          const got = await admin.deleteUser(user.uid, reason);
          return got.ok ? { ok: true, value: null } : got;
        },
        { danger: true, confirm: user.username },
      );
  }
}
