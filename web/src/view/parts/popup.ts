import { tick } from "svelte";
import { touch, wide } from "../media.svelte";
import type { Beside } from "./beside";
import { layer } from "./layers";

/**
 * Shows a popover with its start edge or, if `end`, its end edge at that of `beside`, below it if there is room. On a
 * phone, Back closes it. Call the returned function once it has closed.
 */
export async function openPopup(popup: HTMLElement, beside: Beside, end: boolean): Promise<() => void> {
  popup.showPopover();
  // A desktop keeps its "forward", which an entry in the history would remove.
  const closed = touch.now || !wide.now ? layer(() => popup.hidePopover()) : () => undefined;
  await tick();
  const { offsetWidth: width, offsetHeight: height } = popup;
  const rtl = getComputedStyle(popup).direction === "rtl";
  const left = rtl === end ? beside.left : beside.right - width;
  const below = beside.bottom + 4 + height <= innerHeight;
  popup.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, left))}px`;
  popup.style.top = `${below ? beside.bottom + 4 : Math.max(8, beside.top - 4 - height)}px`;
  return closed;
}
