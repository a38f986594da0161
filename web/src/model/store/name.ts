/** Name of the database of an account. */
export function databaseName(uid: string): string {
  return `phoenix:${uid}`;
}
