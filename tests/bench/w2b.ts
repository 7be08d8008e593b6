/** W2b: one to one, kept nowhere: `typing_start` from one to the other, in a closed loop. */
import { type Bench, connectLoad, note, startServer, watch } from "./bench.ts";
import { SECRET } from "./bench_server.ts";
import { relayRate } from "./limits.ts";
import { createPairs } from "./people.ts";
import { cpuText } from "./report.ts";

const WARM_MS = 1_500;

/** Runs W2b. */
export async function w2b(bench: Bench): Promise<void> {
  const rate = await typingRate(bench);
  const relay = await relayRate(bench, bench.options.pairs);
  note(bench, "w2b", "L1 raw relay, frames of W2", relay.rate, "msg/s", cpuText(relay.cpu));
  note(bench, "w2b", "share of the raw relay", rate / relay.rate, "");
}

async function typingRate(bench: Bench): Promise<number> {
  await using server = await startServer(bench);
  using load = await connectLoad(server, await createPairs(bench.db, SECRET, bench.options.pairs));
  const { delivered, seconds, cpu, undelivered } = await load.run({
    kind: "typing",
    // One under way a sender: with 1,000 pairs the limit of 100 frames a second and socket is met at 100,000.
    pace: { loop: "closed", window: 1 },
    warmMs: WARM_MS,
    ms: bench.options.seconds * 1_000,
    watched: watch(bench, server.pid, load.pid),
  });
  const perSecond = delivered / seconds;
  note(bench, "w2b", `typing delivered, ${bench.options.pairs} pairs`, perSecond, "msg/s", cpuText(cpu));
  note(bench, "w2b", "processor time of server", ((cpu["server"] ?? 0) / perSecond) * 1e6, "µs/msg");
  note(bench, "w2b", "never delivered", undelivered, "msg");
  return perSecond;
}
