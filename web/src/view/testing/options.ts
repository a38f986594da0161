/** What the address asks of the fake model, and the answers that it gives. */
import type { Outcome } from "../../model";

// Kept for the pages that this one links to.
if (location.search.includes("fake=")) sessionStorage.setItem("fake", location.search);
export const params = new URLSearchParams(sessionStorage.getItem("fake") ?? "");
export const number = (name: string, otherwise: number): number => Number(params.get(name) ?? otherwise);
export const wait = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));
export const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const refused = (code: string, message: string, fields: Record<string, string> = {}): Outcome<never> => ({
  ok: false,
  problem: { code, message, fields, retryAfterMs: null },
});
