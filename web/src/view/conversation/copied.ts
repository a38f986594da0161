import type { Chat } from "../../model";
import { daysBetween, format } from "../format";

interface Part {
  readonly article: HTMLElement;
  readonly text: string;
}

/** Returns the selected text of each message that a selection touches, in the order of the page. */
function partsOf(selection: Selection): Part[] {
  const parts: Part[] = [];
  for (const article of document.querySelectorAll<HTMLElement>("[role='log'] article")) {
    const body = document.getElementById(`b-${article.id.slice(2)}`);
    if (!body) continue;
    let text = "";
    // Firefox may have several ranges.
    for (let i = 0; i < selection.rangeCount; i++) {
      const selected = selection.getRangeAt(i);
      if (!selected.intersectsNode(body)) continue;
      const part = document.createRange();
      part.selectNodeContents(body);
      if (selected.compareBoundaryPoints(Range.START_TO_START, part) > 0)
        part.setStart(selected.startContainer, selected.startOffset);
      if (selected.compareBoundaryPoints(Range.END_TO_END, part) < 0)
        part.setEnd(selected.endContainer, selected.endOffset);
      text += part.toString();
    }
    if (text !== "") parts.push({ article, text });
  }
  return parts;
}

/**
 * Copies the selected text of one message, or several messages as "name, time: text", with the date if they are of
 * different days. Returns null if no message is selected.
 */
function copied(selection: Selection, own: string): string | null {
  const parts = partsOf(selection);
  if (parts.length < 2) return parts[0]?.text ?? null;
  const timeOf = ({ article }: Part): number => Date.parse(article.querySelector("time")?.dateTime ?? "");
  const times = parts.map(timeOf);
  const [first = 0] = times;
  const oneDay = times.every((time) => daysBetween(first, time) === 0);
  return parts
    .map(({ article, text }, i) => {
      const time = times[i] ?? 0;
      const name = article.dataset["from"] ?? own;
      return `${name}, ${oneDay ? format.clock(time) : format.full(time)}: ${text}`;
    })
    .join("\n");
}

/** Handles the copying of messages. Returns a function that ends it. */
export function copyMessages(chat: Chat): () => void {
  const oncopy = (event: ClipboardEvent): void => {
    const selection = getSelection();
    const field = event.target instanceof Element && event.target.closest("input, textarea");
    if (field || !selection || selection.isCollapsed || !event.clipboardData) return;
    const text = copied(selection, chat.me.get().displayName);
    if (text === null) return;
    event.preventDefault();
    event.clipboardData.setData("text/plain", text);
  };
  document.addEventListener("copy", oncopy);
  return () => document.removeEventListener("copy", oncopy);
}
