import { parse } from "../places";
import { router } from "../router.svelte";

/**
 * What lies over the page: dialogs, sheets and menus. "Back" closes the one on top before it leaves the page, as on a
 * phone. To that end, each layer has an entry in the history, with the address of the page.
 */
const open: (() => void)[] = [];
/** The number of layers of the current entry. */
let here = 0;
/** Whether the history has been asked to go back. Until it has, its current entry is unknown. */
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
    going = false;
    here = layersOf(event.state);
    for (const close of open.splice(here).reverse()) close();
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
