/**
 * Judges a history: whether what was promised held, as far as those outside of the server can tell.
 * It trusts nobody: answers, sockets, pages and the tables are held against each other.
 *
 * | rule | what must hold | where |
 * |---|---|---|
 * | S1 | what was acknowledged is in the log; what was refused for good is not | rules_log |
 * | S2 | nothing is in the log that nobody sent, and nothing is shown that is not in the log | rules_log |
 * | S3 | what is stored is what was sent, and what is shown is what is stored | rules_log |
 * | S4 | place, id and time of an entry are the same for everybody, on every node | rules_log |
 * | S5 | a log counts without gaps from its purge mark to its head | rules_log |
 * | S6 | a socket is sent rising seqs, and begins at its device's cursor + 1 at most | rules_stream |
 * | S7 | no cursor passes an entry that was not delivered | rules_stream |
 * | S8 | an id is stored once; what was acknowledged does not come again | rules_log, rules_stream |
 * | S9 | every attempt of an id gets the same answer; another body gets none | rules_log |
 * | S10 | a sender's messages keep their order | rules_order |
 * | S11 | who saw n and then sent gets a seq > n | rules_order |
 * | S12 | reads do not go back, on whichever node, and leave nothing out | rules_reads |
 * | S13 | seen and sent within a membership only | rules_members |
 * | S14 | delivered and read marks stand for what was acknowledged and read, and rise; acknowledging what was never sent is refused, and nothing else | rules_reads, rules_receipts |
 * | S15 | what was removed was due, and is said: `truncated`, never silence | rules_stream, rules_purge |
 * | S16 | a summary is what the log up to its seq amounts to | rules_members |
 * | S20 | a session that ended is refused, and its sockets close | rules_time |
 * | S23 | a node that was frozen and thawed delivers in time (and breaks no other rule) | rules_time |
 * | S24 | who blocks is given nothing that the blocked say in a dm meanwhile, and everybody else all of it | rules_blocks |
 * | S25 | an answered edit, reaction or deletion is in the log, and what is shown follows it | rules_changes |
 * | S26 | what pages and lists say of what was given and read is neither ahead nor behind | rules_receipts |
 * | S27 | what waits for somebody is what they did not confirm, one by one and in any order | rules_confirmed |
 * | S28 | marks are told to nobody who may not know: by choice, by a block, from outside | rules_told |
 * | S29 | how people are seen is told to contacts alone, offline only after their time, and seldom | rules_presence |
 * | HEAL | after a fault everything is delivered and answered in time | rules_time |
 *
 * S26 to S29 conclude nothing from what a fault may have kept from a node, nor from what crossed a change of
 * settings or a block on its way. S15 knows when an entry was
 * due only by its conversation's retention, not by its own `expires_in`. S17 to S19 and S21 (keys,
 * refresh tokens, attachments) are not seen by messages and are tested where they belong.
 */
import { type Facts, gather, type Rule, type Times, type Violation } from "./facts.ts";
import type { AnyOperation, Fault, FinalRead, History } from "./history.ts";
import { withheldWhileBlocked } from "./rules_blocks.ts";
import { changesHold } from "./rules_changes.ts";
import { confirmationsHold } from "./rules_confirmed.ts";
import { agreed, dense, intact, nothingInvented, oneAnswer, storedOnce, storedOnceAcknowledged } from "./rules_log.ts";
import { summariesAddUp, withinMembership } from "./rules_members.ts";
import { afterWhatWasSeen, senderOrder } from "./rules_order.ts";
import { presenceHolds } from "./rules_presence.ts";
import { purgedWhenDue } from "./rules_purge.ts";
import { acknowledgementsAreJudged, readMarksDoNotGoBack, readsDoNotGoBack } from "./rules_reads.ts";
import { deliveredMarksHold, receiptsAreRight } from "./rules_receipts.ts";
import { cursorsBehindDevices, streams } from "./rules_stream.ts";
import { answeredInTime, deliveredInTime, revoked } from "./rules_time.ts";
import { marksAreToldToWhoMayKnow, statusesShowWhatMayBeKnown } from "./rules_told.ts";

export type { Rule, Times, Violation } from "./facts.ts";

/** What the checker says of a run. */
export interface Judgement {
  /** `unknown`: nothing was found, and the run does not show that there is nothing; `reasons` say why. */
  readonly verdict: "holds" | "violated" | "unknown";
  /** At most {@link MOST_EACH} of each rule and sentence; `counts.violations` counts all. */
  readonly violations: readonly Violation[];
  readonly reasons: readonly string[];
  readonly counts: Counts;
}

/** What there was to judge. */
export interface Counts {
  readonly operations: number;
  readonly answered: number;
  readonly refused: number;
  readonly unknown: number;
  readonly connections: number;
  readonly delivered: number;
  /** Entries that a device was sent more than once. */
  readonly repeated: number;
  readonly stored: number;
  readonly faults: number;
  /** Faults with operations under way on what they hit. */
  readonly faultsInTraffic: number;
  readonly violations: Readonly<Partial<Record<Rule, number>>>;
}

/** What is kept of one rule and sentence. */
export const MOST_EACH = 5;

const TIMES: Times = {
  deliveredMs: 10_000,
  answeredMs: 10_000,
  recoveredMs: 5_000,
  revokedMs: 1_000,
  closedMs: 2_000,
  flushMs: 30_000,
  closingMs: 5_000,
  pagedMs: 1_000,
  settledMs: 10_000,
  graceMs: 30_000,
};

/** A fault that is over at once, such as a command to Redis, meets traffic of this much time after it (ms). */
const MOMENT_MS = 1_000;

const RULES: readonly ((facts: Facts) => Iterable<Violation>)[] = [
  ...[storedOnceAcknowledged, nothingInvented, intact, agreed, dense, storedOnce, oneAnswer],
  ...[senderOrder, afterWhatWasSeen, streams, cursorsBehindDevices, purgedWhenDue],
  ...[readsDoNotGoBack, acknowledgementsAreJudged, readMarksDoNotGoBack, withinMembership, summariesAddUp],
  ...[deliveredInTime, answeredInTime, revoked, withheldWhileBlocked, changesHold],
  ...[deliveredMarksHold, receiptsAreRight, confirmationsHold],
  ...[marksAreToldToWhoMayKnow, statusesShowWhatMayBeKnown, presenceHolds],
];

/** Judges a history; `times` in place of what reliability asks for, as for a machine that is slow. */
export function check(history: History, times: Partial<Times> = {}): Judgement {
  const { final } = history;
  const violations = new Map<string, Violation[]>();
  const numbers: Partial<Record<Rule, number>> = {};
  if (final !== null) {
    const facts = gather(history, final, { ...TIMES, ...times });
    for (const rule of RULES) {
      for (const violation of rule(facts)) {
        numbers[violation.rule] = (numbers[violation.rule] ?? 0) + 1;
        const key = `${violation.rule} ${violation.text}`;
        const alike = violations.get(key) ?? [];
        violations.set(key, alike);
        if (alike.length < MOST_EACH) alike.push(violation);
      }
    }
  }
  const counts = count(history, numbers);
  const reasons = doubts(history, final, counts);
  const verdict = violations.size > 0 ? "violated" : reasons.length > 0 ? "unknown" : "holds";
  return { verdict, violations: [...violations.values()].flat(), reasons, counts };
}

/** Why a run in which nothing was found shows nothing. */
function doubts(history: History, final: FinalRead | null, counts: Counts): string[] {
  const doubts: string[] = [];
  if (final === null) doubts.push("the log was not read in the end");
  if (counts.operations === 0) doubts.push("nothing was done");
  if (counts.answered * 2 < counts.operations)
    doubts.push(`${counts.answered} of ${counts.operations} operations were answered`);
  const happened = new Set(history.faults.map((fault) => fault.name));
  for (const name of history.planned) if (!happened.has(name)) doubts.push(`${name} did not take place`);
  if (counts.faultsInTraffic === 0) doubts.push("no fault hit traffic");
  for (const fault of history.faults) if (fault.to === null) doubts.push(`${fault.name} was never healed`);
  return doubts;
}

function count(history: History, violations: Counts["violations"]): Counts {
  const { operations, connections, faults } = history;
  const of = (type: AnyOperation["outcome"]["type"]) =>
    operations.filter(({ outcome }) => outcome.type === type).length;
  const [ok, refused] = [of("ok"), of("refused")];
  const places = new Map<string, Set<string>>();
  let delivered = 0;
  let distinct = 0;
  for (const { input, events } of connections) {
    const own = places.get(input.device) ?? new Set();
    const before = own.size;
    places.set(input.device, own);
    for (const event of events) {
      if (event.type !== "delivered") continue;
      delivered++;
      own.add(`${event.entry.conversation} ${event.entry.seq}`);
    }
    distinct += own.size - before;
  }
  return {
    operations: operations.length,
    answered: ok + refused,
    refused,
    unknown: operations.length - ok - refused,
    connections: connections.length,
    delivered,
    repeated: delivered - distinct,
    stored: history.final?.logs.reduce((sum, log) => sum + log.entries.length, 0) ?? 0,
    faults: faults.length,
    faultsInTraffic: faults.filter((fault) => hitTraffic(fault, operations)).length,
    violations,
  };
}

/** Whether an operation was under way during a fault, on what it hit. */
function hitTraffic(fault: Fault, operations: readonly AnyOperation[]): boolean {
  const until = Math.max(fault.to ?? Number.POSITIVE_INFINITY, fault.from + MOMENT_MS);
  return operations.some(({ input, invokedAt, outcome }) => {
    const answeredAt = outcome.type === "open" ? Number.POSITIVE_INFINITY : outcome.at;
    return (
      invokedAt <= until && answeredAt >= fault.from && (fault.hit.type === "account" || touches(fault, input.node))
    );
  });
}

function touches({ hit }: Fault, node: string): boolean {
  return hit.type !== "node" || hit.node === node;
}
