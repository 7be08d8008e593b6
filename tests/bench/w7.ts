/**
 * W7: presence. People in groups of 51, so with 50 contacts each, all connected; their devices say a thousand
 * times a second that somebody is away or back. Naive fan-out would send each change to each contact; what the
 * server sends is counted at the sockets, over one whole period in which it tells of everybody once at most.
 */
import { type Bench, note, startServer, watch } from "./bench.ts";
import { SECRET } from "./bench_server.ts";
import { LoadProcess } from "./load_process.ts";
import { createGroup, createPeople, type Person } from "./people.ts";
import { cpuText } from "./report.ts";
import type { SeatPlan } from "./seat.ts";

const CHANGES_A_SECOND = 1_000;
const CONTACTS = 50;
/** Of one person one change is told in this time. */
const PERIOD_MS = 30_000;
const WARM_MS = 3_000;
/** Who came is told of within some seconds, and then not for a period. */
const WITNESSES_AFTER_MS = PERIOD_MS + 4_000;
const WITNESSES_MS = 6_000;

/** Runs W7. */
export async function w7(bench: Bench): Promise<void> {
  await using server = await startServer(bench); // makes the partitions
  const plans = await createGroups(bench, Math.round(bench.options.sockets / (CONTACTS + 1)));
  await bench.db.query("analyze");
  using load = new LoadProcess();
  await load.order({ do: "connect", urls: [server.socketUrl], plans, size: 0, speaks: true });
  const result = await load.presence({
    ...{ perSecond: CHANGES_A_SECOND, contacts: CONTACTS, witnesses: CONTACTS + 1 },
    ...{ warmMs: WARM_MS, ms: PERIOD_MS, witnessesAfterMs: WITNESSES_AFTER_MS, witnessesMs: WITNESSES_MS },
    watched: watch(bench, server.pid, load.pid),
  });
  const { seconds, changes, frames, told, shown, unseen, cpu } = result;
  const text = `${plans.length} people, ${CONTACTS} contacts each; ${cpuText(cpu)}`;
  note(bench, "w7", "changes", changes / seconds, "/s", text);
  note(bench, "w7", "naive fan-out of them", (changes * CONTACTS) / seconds, "frames/s");
  note(
    bench,
    "w7",
    "frames that left the server",
    frames / seconds,
    "frames/s",
    `${(told / seconds).toFixed(0)} tellings/s`,
  );
  note(bench, "w7", "share of naive fan-out", frames / (changes * CONTACTS), "", "a fifth is to be reached");
  note(bench, "w7", "processor time of server", ((cpu["server"] ?? 0) * seconds * 1e6) / changes, "µs/change");
  note(bench, "w7", "from a rare change to each contact, p50", shown.p50, "ms", `${unseen} never shown`);
  note(bench, "w7", "from a rare change to each contact, p99", shown.p99, "ms", `most ${shown.most.toFixed(0)}`);
}

async function createGroups(bench: Bench, count: number): Promise<SeatPlan[]> {
  const people = await createPeople(bench.db, SECRET, count * (CONTACTS + 1));
  const plans: SeatPlan[] = [];
  for (let i = 0; i < count; i++) {
    const members: readonly Person[] = people.slice(i * (CONTACTS + 1), (i + 1) * (CONTACTS + 1));
    const conversationId = await createGroup(bench.db, members);
    plans.push(...members.map(({ token, id }) => ({ token, conversationId, accountId: id })));
  }
  return plans;
}
