import { matchesIn } from "../../model/search/excerpt";

/** The names of the highlights: all matches, and those of the current message. FindBar.svelte has their styles. */
const ALL = "found";
const CURRENT = "found-here";

/**
 * Highlights the matches of a folded query in the messages of a list, as long as they have elements. The elements do not
 * change (CSS Custom Highlight API). Browsers that lack it show only where the current match is. Returns a function that
 * ends it.
 */
export function highlight(list: HTMLElement, query: string, current: string | null): () => void {
  if (!("highlights" in CSS)) return () => undefined;
  const draw = (): void => {
    const ranges: Range[] = [];
    const here: Range[] = [];
    for (const body of list.querySelectorAll<HTMLElement>("article [id^='b-']")) {
      for (const { start, end } of matchesIn(body.textContent, query))
        (body.id === `b-${current}` ? here : ranges).push(rangeOf(body, start, end));
    }
    CSS.highlights.set(ALL, new Highlight(...ranges));
    CSS.highlights.set(CURRENT, new Highlight(...here));
  };
  let planned = 0;
  const observer = new MutationObserver(() => {
    cancelAnimationFrame(planned);
    planned = requestAnimationFrame(draw);
  });
  observer.observe(list, { childList: true, subtree: true, characterData: true });
  draw();
  return () => {
    cancelAnimationFrame(planned);
    observer.disconnect();
    CSS.highlights.delete(ALL);
    CSS.highlights.delete(CURRENT);
  };
}

/** Returns the range of the text content of an element between two places, in UTF-16 units. */
function rangeOf(element: HTMLElement, start: number, end: number): Range {
  const range = document.createRange();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let before = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const { length } = node as Text;
    if (start >= before && start < before + length) range.setStart(node, start - before);
    if (end > before && end <= before + length) {
      range.setEnd(node, end - before);
      break;
    }
    before += length;
  }
  return range;
}
