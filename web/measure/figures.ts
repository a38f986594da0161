/** Figures for the table, and the arithmetic behind them. */
import { test } from "@playwright/test";

/** The type of the annotations that {@link record} adds for the table. */
export const FIGURE = "figure";

export function record(name: string, value: string): void {
  test.info().annotations.push({ type: FIGURE, description: `${name}\t${value}` });
}

/** Returns the quantile `share` (0 to 1) of the values, by the nearest rank. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

export const ms = (value: number): string => `${value.toFixed(0)} ms`;
export const MB = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
