/**
 * The name of the note with a user's late drafts, by conversation: those that were typed shortly before the page was
 * left. Notes are written at once.
 */
export function lateDrafts(uid: string): string {
  return `phoenix.drafts.${uid}`;
}
