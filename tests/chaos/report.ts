/** What a run shows, in at most 80 columns. */
import type { ChaosResult, FaultRow, Phase } from "./run.ts";

const NAME_WIDTH = 30;
const WIDTH = 79;
/** Problems that are shown; a run that goes wrong goes wrong often. */
const MOST_PROBLEMS = 20;

/** The head of the table. */
export const TABLE_HEAD = [
  line(["fault", "times", "sent", "ok", "refused", "unknown", "up after", "again"]),
  "-".repeat(WIDTH),
].join("\n");

/** What the columns mean. */
export const LEGEND = [
  "sent: operations begun while it lasted; ok, refused, unknown: what came of them",
  "up after: from the healing until every device had everything, the slowest time",
  "again: entries that a device was sent and had already (it drops them)",
].join("\n");

/** One row of the table. */
export function showRow(row: FaultRow): string {
  const { name, times, operations, answered, refused, unknown, caughtUpMs, repeats } = row;
  const seconds = `${(caughtUpMs / 1_000).toFixed(2)} s`;
  return line([name, times, operations, answered, refused, unknown, seconds, repeats]);
}

/** The line that says what is being done. */
export function showPhase({ says, operations }: Phase): string {
  return `  ${says} (${operations} operations)`.slice(0, WIDTH);
}

/** What came of it all. */
export function showResult(result: ChaosResult, seed: number): string {
  const { verdict, problems, reasons, operations, answered, deliveries, connections, seconds } = result;
  const shown = problems.slice(0, MOST_PROBLEMS).map((text) => `  ${text}`);
  const more = problems.length - shown.length;
  const share = operations === 0 ? 0 : (100 * answered) / operations;
  const says = {
    holds: "holds: nothing lost, nothing twice, everything in order",
    violated: "VIOLATED: what follows should not have been",
    unknown: `unknown: ${reasons.join("; ")}`,
  }[verdict];
  return [
    `${operations} operations in ${Math.round(seconds)} s, ${share.toFixed(1)} % of them answered;`,
    `${deliveries} entries delivered over ${connections} connections; seed ${seed}`,
    `verdict: ${says}`,
    ...shown,
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join("\n");
}

function line([name, times, sent, ok, refused, unknown, after, again]: readonly (string | number)[]): string {
  const numbers = [
    [times, 6],
    [sent, 6],
    [ok, 6],
    [refused, 8],
    [unknown, 8],
    [after, 9],
    [again, 6],
  ] as const;
  return (
    String(name).padEnd(NAME_WIDTH).slice(0, NAME_WIDTH) +
    numbers.map(([value, width]) => String(value).padStart(width)).join("")
  );
}
