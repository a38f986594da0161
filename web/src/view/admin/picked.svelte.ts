import type { AdminUser } from "../../model";

/** Whose messages are to be read, carried from the list of people to the place where that is done. */
class Picked {
  user: AdminUser | null = $state.raw(null);
}

export const picked = new Picked();
