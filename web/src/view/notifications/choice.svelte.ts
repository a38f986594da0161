import { readNote, writeNote } from "../been";

const key = "phoenix.notify";

/** Whether the user wants notifications, apart from the permission of the browser. The settings can turn them off. */
class NotificationChoice {
  wanted: boolean = $state(readNote(key) !== "off");

  choose(wanted: boolean): void {
    this.wanted = wanted;
    writeNote(key, wanted ? null : "off");
  }
}

export const notify = new NotificationChoice();
