/** HEAL, S20 and S23: what is promised of time. Every deadline begins anew when a fault that falls into it is healed. */
import type { ConversationId } from "../../../src/protocol/mod.ts";
import { LIMITS } from "../../../src/protocol/mod.ts";
import { due, endedSessions, type Facts, hits, type LogFacts, maySee, messageKey, type Violation } from "./facts.ts";
import type { Connection, Fault } from "./history.ts";
import { isWithheld } from "./rules_blocks.ts";

/** How a frozen node is named among the faults: what it breaks is S23. */
const FREEZE = /frozen/;

/** HEAL and S23: a socket that is open and reads has everything in time. */
export function* deliveredInTime(facts: Facts): Generator<Violation> {
  const ended = endedSessions(facts.history);
  for (const connection of facts.history.connections) {
    if (isFull(connection)) continue;
    const { account, node, session } = connection.input;
    const over = Math.min(facts.final.at, connection.closed?.at ?? Infinity, ended.get(session) ?? Infinity);
    const faults = facts.history.faults.filter((fault) => hits(fault, node, account));
    const places = placesOf(connection);
    for (const [conversation, log] of facts.logs) {
      if (log.intervals.has(account))
        yield* inTime(facts, { connection, over, faults }, log, places.get(conversation) ?? nowhere());
    }
  }
}

/** A socket, until when it counts, and what may have kept entries from it. */
interface Reader {
  readonly connection: Connection;
  readonly over: number;
  readonly faults: readonly Fault[];
}

/** What a socket was sent of one log. */
interface Places {
  /** When each seq came first. */
  readonly came: Map<number, number>;
  lowest: number;
  highest: number;
  /** What need not come: below a purge mark, or claimed by the device itself. */
  passed: number;
}

function* inTime(facts: Facts, reader: Reader, log: LogFacts, places: Places): Generator<Violation> {
  const { seen, byKey, times } = facts;
  const { input, openedAt } = reader.connection;
  const { conversation, purged } = log.log;
  for (const [seq, at] of seen.get(conversation) ?? []) {
    const came = places.came.get(seq) ?? Infinity;
    const stored = log.bySeq.get(seq);
    if (came <= at + times.deliveredMs || stored === undefined || !maySee(log, input.account, seq)) continue;
    if (seq <= Math.max(places.passed, purged)) continue;
    if (came === Infinity && seq < places.highest) continue; // S7 says so
    // What was there before the socket may be behind the device's cursor; what was sent since is not.
    const sentAt = byKey.get(messageKey(conversation, stored.id))?.attempts[0].invokedAt ?? 0;
    if (seq < places.lowest && sentAt < openedAt) continue;
    const deadline = due(reader.faults, Math.max(at, openedAt), times.deliveredMs);
    if (reader.over <= deadline.at || came <= deadline.at) continue;
    if (isWithheld(facts, stored, input.account, "possibly")) continue; // its empty place comes with what is after it
    const frozen = deadline.after !== null && FREEZE.test(deadline.after.name);
    const { device, node } = input;
    const evidence = { device, node, conversation, seq, seen: at, came, after: deadline.after };
    yield { rule: frozen ? "S23" : "HEAL", text: "an open socket did not get an entry in time", evidence };
  }
}

function nowhere(): Places {
  return { came: new Map(), lowest: Infinity, highest: 0, passed: 0 };
}

function placesOf({ events }: Connection): Map<ConversationId, Places> {
  const places = new Map<ConversationId, Places>();
  const of = (conversation: ConversationId): Places => {
    let found = places.get(conversation);
    if (found === undefined) {
      found = nowhere();
      places.set(conversation, found);
    }
    return found;
  };
  for (const event of events) {
    if (event.type === "delivered") {
      const found = of(event.entry.conversation);
      if (!found.came.has(event.entry.seq)) found.came.set(event.entry.seq, event.at);
      found.lowest = Math.min(found.lowest, event.entry.seq);
      found.highest = Math.max(found.highest, event.entry.seq);
    } else if (event.type === "truncated") {
      const found = of(event.conversation);
      found.passed = Math.max(found.passed, event.before - 1);
    } else if (event.type === "resumed") {
      for (const [conversation, claim] of event.cursors)
        of(conversation).passed = Math.max(of(conversation).passed, claim);
    }
  }
  return places;
}

/** Whether the window of unacknowledged events was ever near its end: then the server may stop [ACK-4]. */
function isFull({ events }: Connection): boolean {
  const standing = new Map<ConversationId, { first: number; sent: number; acknowledged: number }>();
  let waiting = 0;
  for (const event of events) {
    if (event.type === "delivered") {
      const { conversation, seq } = event.entry;
      const known = standing.get(conversation) ?? { first: seq, sent: seq - 1, acknowledged: seq - 1 };
      standing.set(conversation, known);
      if (seq > known.sent) waiting += seq - known.sent;
      known.sent = Math.max(known.sent, seq);
    } else if (event.type === "acknowledged") {
      const known = standing.get(event.conversation);
      if (known === undefined || event.seq <= known.acknowledged) continue;
      const seq = Math.min(event.seq, known.sent);
      waiting -= seq - known.acknowledged;
      known.acknowledged = seq;
    }
    if (waiting >= LIMITS.unacknowledgedEvents - 100) return true;
  }
  return false;
}

/** HEAL: while nothing is broken every request is answered in time, and not with `unavailable`. */
export function* answeredInTime({ history, times }: Facts): Generator<Violation> {
  for (const { kind, input, invokedAt, outcome } of history.operations) {
    if (outcome.type === "open") continue;
    const late = outcome.type === "unknown" ? outcome.why === "timeout" : outcome.at - invokedAt > times.answeredMs;
    const refused = outcome.type === "refused" && outcome.code === "unavailable";
    if (!late && !refused) continue;
    const broken = history.faults.some(
      (fault) =>
        hits(fault, input.node, input.account) &&
        fault.from <= outcome.at &&
        (fault.to ?? Number.POSITIVE_INFINITY) + times.recoveredMs >= invokedAt,
    );
    if (broken) continue;
    const { account, node } = input;
    const evidence = { kind, account, node, invokedAt, outcome };
    yield { rule: "HEAL", text: late ? "a request was not answered in time" : "a request was refused", evidence };
  }
}

/** S20: when a session has ended its sockets close in time, and nothing is done in its name any more. */
export function* revoked({ history, final, times }: Facts): Generator<Violation> {
  const ended = endedSessions(history);
  for (const { input, openedAt, closed } of history.connections) {
    const end = ended.get(input.session);
    if (end === undefined || (closed !== null && closed.at < end)) continue;
    const faults = history.faults.filter((fault) => excusesSockets(fault) && hits(fault, input.node, input.account));
    const deadline = due(faults, Math.max(end, openedAt), times.closedMs).at;
    if (Math.min(closed?.at ?? Number.POSITIVE_INFINITY, final.at) <= deadline) continue;
    const evidence = { ...input, ended: end, openedAt, closed };
    yield { rule: "S20", text: "a socket outlived its session", evidence };
  }
  for (const { kind, input, invokedAt, outcome } of history.operations) {
    const end = ended.get(input.session);
    if (end === undefined || outcome.type !== "ok" || invokedAt <= end + times.revokedMs) continue;
    if (kind === "send" && input.via !== null) continue; // judged by its socket
    yield { rule: "S20", text: "a request was answered in the name of a session that had ended", evidence: input };
  }
}

/** What is broken on the way between nodes does not excuse a socket: the node asks the database then. */
function excusesSockets({ name, hit }: Fault): boolean {
  return hit.type !== "all" || name.startsWith("postgres");
}
