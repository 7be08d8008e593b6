/** The time of each stage of a message's path, as a server's own metrics tell it. */

/** What metrics were at a moment, by name and labels. */
type Metrics = ReadonlyMap<string, number>;

/** A stage, and how long it took on average between two moments. */
export interface StageTime {
  readonly stage: string;
  readonly ms: number;
  /** Of whose times this is the average. */
  readonly of: string;
}

const FOLLOWED = "of one message in 64";

/** In the order of the path; those of the bus are there only where a server has others. */
const STAGES: readonly (readonly [stage: string, metric: string, labels: string, of: string])[] = [
  ["from the socket to the log", "sotto_stage_seconds", '{stage="receive"}', FOLLOWED],
  ["in the log, until stored", "sotto_stage_seconds", '{stage="log"}', FOLLOWED],
  ["wait for the batch before", "sotto_log_wait_seconds", "", "of a batch's first event"],
  ["statement and commit", "sotto_log_batch_seconds", "", "of a batch"],
  ["from stored to the sender's socket", "sotto_stage_seconds", '{stage="answer"}', FOLLOWED],
  ["where recipients are", "sotto_stage_seconds", '{stage="look_up"}', "of a turn's look-up"],
  ["publish", "sotto_stage_seconds", '{stage="publish"}', "of a message between nodes"],
];

/** The stages that were passed between two moments. */
export function stageTimes(before: Metrics, after: Metrics): StageTime[] {
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  return STAGES.flatMap(([stage, metric, labels, of]) => {
    const times = grown(`${metric}_count${labels}`);
    return times === 0 ? [] : [{ stage, ms: (grown(`${metric}_sum${labels}`) / times) * 1_000, of }];
  });
}
