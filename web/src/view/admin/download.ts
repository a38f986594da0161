import type { Outcome } from "../../model";
import { isoDay } from "../format";
import { notices } from "../notices.svelte";
import { problemText } from "./problems";

/** Saves a file that the server created, or shows why it could not. */
export async function save(file: Promise<Outcome<Blob>>, name: string): Promise<void> {
  const outcome = await file;
  if (!outcome.ok) {
    notices.say(problemText(outcome.problem));
    return;
  }
  const url = URL.createObjectURL(outcome.value);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = `${name}-${isoDay(Date.now())}.csv`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the download may start later
}
