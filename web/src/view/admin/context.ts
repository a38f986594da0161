import { createContext } from "svelte";
import type { Admin } from "../../model";

/** The same calls for requests that nobody asked for. They do not ask the admin to confirm their identity. */
export const [getPolling, setPolling] = createContext<Admin>();

/** Returns the typed calls of the panel. For every component below Admin.svelte. */
export const [getAdmin, setAdmin] = createContext<Admin>();
