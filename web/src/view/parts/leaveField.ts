/**
 * Takes the focus from a search field whose first result is being opened. If the user returns to the field before the
 * result is shown, the router knows it (`focusMoved`).
 */
export function leaveField(): void {
  const { activeElement } = document;
  if (activeElement instanceof HTMLInputElement) activeElement.blur();
}
