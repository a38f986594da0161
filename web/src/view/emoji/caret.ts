/** Returns how far a place in the text of a field is from the left edge of the field, in CSS pixels. */
export function leftOf(input: HTMLTextAreaElement, at: number): number {
  const style = getComputedStyle(input);
  const copy = document.createElement("div");
  const { direction, font, letterSpacing, paddingLeft, paddingRight, textAlign } = style;
  Object.assign(copy.style, { direction, font, letterSpacing, paddingLeft, paddingRight, textAlign });
  Object.assign(copy.style, {
    position: "fixed",
    visibility: "hidden",
    whiteSpace: "pre-wrap",
    overflowWrap: "anywhere",
  });
  copy.style.width = `${input.clientWidth}px`;
  copy.style.boxSizing = "border-box";
  const place = document.createElement("span");
  place.textContent = "\u200b";
  copy.append(input.value.slice(0, at), place, input.value.slice(at));
  input.after(copy);
  const left = place.offsetLeft;
  copy.remove();
  return left;
}
