import type { Attachment } from "svelte/attachments";
import { parse } from "../places";
import { router } from "../router.svelte";

/**
 * What lies over the page: dialogs, sheets and menus. "Back" closes the one on top before it leaves the page, as on a
 * phone. To that end, each layer has an entry in the history, with the address of the page.
 */
const open: (() => void)[] = [];
/** The number of layers of the current entry. */
let here = 0;
/** Whether sync has asked the history to go back. Until it has, its current entry is unknown. */
let going = false;

const layersOf = (state: unknown): number => (state as { layers?: number } | null)?.layers ?? 0;

/** Makes the history agree with the layers that are open. */
function sync(): void {
  if (going) return;
  here = layersOf(history.state);
  while (here < open.length) history.pushState({ ...(history.state as object | null), layers: ++here }, "");
  if (here > open.length) {
    going = true;
    history.go(open.length - here);
  }
}

// In the capture phase, before the router, which need not handle entries of the place that it shows.
addEventListener(
  "popstate",
  (event) => {
    here = layersOf(event.state);
    // After sync has gone back, the open ones have been opened meanwhile, and get entries below.
    if (!going) for (const close of open.splice(here).reverse()) close();
    going = false;
    const place = parse(location.pathname, location.search);
    if (JSON.stringify(place) === JSON.stringify(router.place)) event.stopImmediatePropagation();
    sync(); // an entry of a layer that was closed long ago is passed over
  },
  true,
);

/**
 * Notes that a layer has been opened. "Back" calls `close`. Call the returned function when the layer has closed for
 * whatever reason.
 */
export function layer(close: () => void): () => void {
  open.push(close);
  sync();
  return () => {
    const at = open.indexOf(close);
    if (at >= 0) open.splice(at, 1);
    setTimeout(sync); // a layer that opens in place of this one receives its entry
  };
}

/**
 * Opens a dialog as a modal one for as long as it is on the page. `leave` is called when the user leaves it, by Escape,
 * Back or a click beside it, and must remove it. It is called at once, because the browser's own event `close` comes
 * later, when the dialog may have been asked for again.
 */
export function modal(leave: () => void): Attachment<HTMLDialogElement> {
  return (dialog) => {
    const removed = new AbortController();
    const on = (kind: string, act: (event: Event) => void): void =>
      dialog.addEventListener(
        kind,
        (event) => {
          // Events of what is inside, such as the dialog that chooses a file, bubble.
          if (event.target === dialog) act(event);
        },
        { signal: removed.signal },
      );
    on("cancel", (event) => {
      event.preventDefault();
      leave();
    });
    on("click", leave);
    on("close", leave); // browsers do not let a page prevent Escape twice in a row
    const from = document.activeElement;
    dialog.showModal();
    const closed = layer(leave);
    return () => {
      removed.abort();
      closed();
      dialog.close();
      // A dialog that is removed from the page while it is open does not return the focus.
      if (from instanceof HTMLElement && document.activeElement === document.body) from.focus();
    };
  };
}
