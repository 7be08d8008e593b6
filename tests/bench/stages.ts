/**
 * What each stage of a message's path costs, from a profile that the server wrote: every sample goes to the
 * innermost frame that belongs to a stage. The server does nothing for this unless a profile was asked for.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** A profile as Bun writes it (the format of the Chrome DevTools protocol, Profiler.Profile). */
interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

/** The stages, by the files that hold them; the first that fits counts. */
const STAGES: readonly (readonly [string, RegExp])[] = [
  ["decode and encode", /\/src\/protocol\/|node_modules\/zod\//],
  ["body, digest, membership", /\/src\/(conversations\/(body|send_message|heads)|platform\/sealer)\.ts/],
  ["cursors", /\/src\/conversations\/cursors/],
  ["log and database driver", /\/src\/conversations\/|\/src\/platform\/postgres|node_modules\/pg/],
  ["deliver: router and feed", /\/src\/realtime\/(router|feed|bus)/],
  ["socket: limits and send", /\/src\/realtime\/(session|bun_socket)/],
  ["actor", /\/src\/realtime\/|\/src\/actor\//],
];
const REST = "runtime, and what is of no stage";
/** A longer gap between two samples was idle time. */
const MOST_DELTA = 5_000;

/** The share of busy time of each stage, largest first, from the newest profile of a folder. */
export function stageShares(folder: string): (readonly [stage: string, share: number])[] {
  const newest = readdirSync(folder)
    .filter((name) => name.endsWith(".cpuprofile"))
    .map((name) => join(folder, name))
    .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
    .at(-1);
  if (newest === undefined) return [];
  const profile: Profile = JSON.parse(readFileSync(newest, "utf8"));
  const stages = stageOfNodes(profile);
  const times = new Map<string, number>();
  profile.samples.forEach((node, i) => {
    const stage = stages.get(node) ?? REST;
    times.set(stage, (times.get(stage) ?? 0) + Math.min(MOST_DELTA, profile.timeDeltas[i] ?? 0));
  });
  const all = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times].map(([stage, time]) => [stage, time / all] as const).sort((a, b) => b[1] - a[1]);
}

/** A frame of no stage belongs to the stage of its caller. */
function stageOfNodes({ nodes }: Profile): ReadonlyMap<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const stages = new Map<number, string>();
  const visit = (id: number, inherited: string) => {
    const node = byId.get(id);
    if (node === undefined) return;
    const own = STAGES.find(([, files]) => files.test(node.callFrame.url))?.[0] ?? inherited;
    stages.set(id, own);
    for (const child of node.children ?? []) visit(child, own);
  };
  const first = nodes[0];
  if (first !== undefined) visit(first.id, REST);
  return stages;
}
