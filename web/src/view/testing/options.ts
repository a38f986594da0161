/** The options of the fake model from the address, and helpers for its answers. */
import type { Outcome } from "../../model";

// Stored for the pages that this one links to.
if (location.search.includes("fake=")) sessionStorage.setItem("fake", location.search);
export const params = new URLSearchParams(sessionStorage.getItem("fake") ?? "");
export const number = (name: string, otherwise: number): number => Number(params.get(name) ?? otherwise);
export const wait = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));
/** With "held" in the address, some answers wait until a test releases them. */
export const held = { release(): void {} };
export const ok = <T>(value: T): Outcome<T> => ({ ok: true, value });
export const refused = (code: string, message: string, fields: Record<string, string> = {}): Outcome<never> => ({
  ok: false,
  problem: { code, message, fields, retryAfterMs: null },
});
