import type { AdminUser } from "../../model";

/** The user whose messages an admin chose to read. The list of people sets it; the page of messages reads it. */
class Picked {
  user: AdminUser | null = $state.raw(null);
}

export const picked = new Picked();
