import type { Outcome } from "../../model";
import { notices } from "../notices.svelte";
import { problemWords } from "../problems";

/** Saves a file that the server made, or says why not. */
export async function save(file: Promise<Outcome<Blob>>, name: string): Promise<void> {
  const outcome = await file;
  if (!outcome.ok) {
    notices.say(problemWords(outcome.problem));
    return;
  }
  const url = URL.createObjectURL(outcome.value);
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = `${name}-${new Date().toISOString().slice(0, 10)}.csv`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the download may begin later
}
