import { createContext } from "svelte";
import type { Admin } from "../../model";

/** The typed calls of the panel, for every component below Admin.svelte. */
export const [getAdmin, setAdmin] = createContext<Admin>();
