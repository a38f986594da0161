import { createContext } from "svelte";
import type { Admin } from "../../model";

/** Returns the typed calls of the panel. For every component below Admin.svelte. */
export const [getAdmin, setAdmin] = createContext<Admin>();
