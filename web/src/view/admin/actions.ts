import type { Admin, AdminUser, Outcome } from "../../model";
import { adminText } from "../../text/admin";

/** An action on a user that asks for confirmation first. */
export interface Action {
  readonly title: string;
  /** The consequences, in full. */
  readonly long: string;
  readonly button: string;
  readonly danger: boolean;
  /** The text to type before an action that cannot be undone; "" if none is needed. */
  readonly confirm: string;
  readonly done: string;
  /** Whether a reason is required. */
  readonly must: boolean;
  /** Runs the action. Returns the user as they are now, or null if they no longer exist. */
  run(admin: Admin, reason: string): Promise<Outcome<AdminUser | null>>;
}

const words = adminText.actions;

export type ActionName =
  "makeAdmin" | "unmakeAdmin" | "disable" | "enable" | "signOut" | "reset" | "removePicture" | "remove";

/** Returns the action named `name` on `user`. */
export function actionOn(name: ActionName, user: AdminUser): Action {
  const who = user.displayName || user.username;
  const same = async (outcome: Promise<Outcome>): Promise<Outcome<AdminUser | null>> => {
    const got = await outcome;
    return got.ok ? { ok: true, value: user } : got;
  };
  const action = (
    title: string,
    long: string,
    button: string,
    done: string,
    run: Action["run"],
    more: Partial<Action> = {},
  ): Action => ({
    title,
    long,
    button,
    done,
    run,
    danger: false,
    must: false,
    confirm: "",
    ...more,
  });
  switch (name) {
    case "makeAdmin":
      return action(
        words.makeAdminTitle(who),
        words.makeAdminLong,
        words.makeAdmin,
        words.done.makeAdmin(who),
        (admin, reason) => admin.changeUser(user.uid, { admin: true }, reason),
      );
    case "unmakeAdmin":
      return action(
        words.unmakeAdminTitle(who),
        words.unmakeAdminLong,
        words.unmakeAdmin,
        words.done.unmakeAdmin(who),
        (admin, reason) => admin.changeUser(user.uid, { admin: false }, reason),
        { danger: true },
      );
    case "disable":
      return action(
        words.disableTitle(who),
        words.disableLong,
        words.disable,
        words.done.disable(who),
        (admin, reason) => admin.changeUser(user.uid, { disabled: true }, reason),
        { danger: true },
      );
    case "enable":
      return action(words.enableTitle(who), words.enableLong, words.enable, words.done.enable(who), (admin, reason) =>
        admin.changeUser(user.uid, { disabled: false }, reason),
      );
    case "signOut":
      return action(
        words.signOutTitle(who),
        words.signOutLong,
        words.signOut,
        words.done.signOut(who),
        (admin, reason) => same(admin.signOutEverywhere(user.uid, reason)),
      );
    case "reset":
      return action(
        words.resetTitle(who),
        words.resetLong(user.email),
        words.reset,
        words.done.reset(who),
        (admin, reason) => same(admin.sendPasswordReset(user.uid, reason)),
      );
    case "removePicture":
      return action(
        words.removePictureTitle(who),
        words.removePictureLong,
        words.removePicture,
        words.done.removePicture(who),
        (admin, reason) => admin.changeUser(user.uid, { picture: "" }, reason),
        { danger: true },
      );
    case "remove":
      return action(
        words.removeTitle(who),
        words.removeLong,
        words.remove,
        words.done.remove(who),
        async (admin, reason) => {
          const got = await admin.deleteUser(user.uid, reason);
          return got.ok ? { ok: true, value: null } : got;
        },
        { danger: true, must: true, confirm: user.username },
      );
  }
}
