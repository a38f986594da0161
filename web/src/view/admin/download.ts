import type { Outcome } from "../../model";
import { isoDay } from "../format";
import { notices } from "../notices.svelte";
import { saveFile } from "../parts/saveFile";
import { problemText } from "./problems";

/** Saves a file that the server created, or shows why it could not. */
export async function save(file: Promise<Outcome<Blob>>, name: string): Promise<void> {
  const outcome = await file;
  if (!outcome.ok) {
    notices.say(problemText(outcome.problem));
    return;
  }
  saveFile(outcome.value, `${name}-${isoDay(Date.now())}.csv`);
}
