/** Figures as they are kept and shown. */
import type { Conditions } from "./machine.ts";

/** One figure of a workload. */
export interface Figure {
  /** `w2`, `limits` … */
  readonly workload: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** What goes with it: processor time, conditions, a ratio. */
  readonly note: string;
  /** The load average of the last minute when it was taken. */
  readonly load: number;
}

/** Says one figure on the terminal as it comes. */
export function showFigure(figure: Figure): void {
  const { workload, what, unit, note, load } = figure;
  const value = rounded(figure.value).toLocaleString("en-US");
  console.log(
    `${workload.padEnd(9)} ${what.padEnd(46)} ${value.padStart(10)} ${unit.padEnd(9)} ${note}  [load ${load}]`,
  );
}

/** The head of the table. */
export function showConditions({ cores, model, bun, postgres, load, at }: Conditions): void {
  console.log(`\n${cores} cores (${model}), Bun ${bun}, Postgres ${postgres}, load ${load.join(" ")}, ${at}\n`);
}

/** A value with as many digits as it is worth. */
export function rounded(value: number): number {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return Number(value.toFixed(digits));
}

/** The middle one of some values; 0 where there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** Processor time by name, as `server 0.98, postgres 0.62 cores`. */
export function cpuText(cpu: Readonly<Record<string, number>>): string {
  const parts = Object.entries(cpu).map(([name, cores]) => `${name} ${cores.toFixed(2)}`);
  return parts.length === 0 ? "" : `cores: ${parts.join(", ")}`;
}
