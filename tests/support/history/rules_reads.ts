/** S12 and S14: what was read over HTTP, and what marks and acknowledgements were answered. */
import type { AccountId, ConversationId } from "../../../src/protocol/mod.ts";
import { type Facts, intervalAt, type LogFacts, type Violation } from "./facts.ts";
import type { Connection, ConnectionEvent, Operation } from "./history.ts";
import { Timeline } from "./rules_order.ts";

/**
 * S12: whoever knows of n reads n, whichever node is asked: their own receipts, what their sockets
 * were sent, and what they read before. And a page leaves nothing out.
 */
export function* readsDoNotGoBack(facts: Facts): Generator<Violation> {
  const known = knownByReaders(facts);
  for (const operation of facts.history.operations) {
    if (operation.outcome.type !== "ok") continue;
    const { account } = operation.input;
    const before = (conversation: ConversationId): number =>
      known.get(`${account} ${conversation}`)?.highestBefore(operation.invokedAt) ?? 0;
    if (operation.kind === "snapshot") {
      for (const { conversation, lastSeq } of operation.outcome.answer) {
        if (lastSeq >= before(conversation)) continue;
        const evidence = { ...operation.input, conversation, lastSeq, known: before(conversation) };
        yield { rule: "S12", text: "a summary is older than what its reader knew", evidence };
      }
    } else if (operation.kind === "page") {
      const log = facts.logs.get(operation.input.conversation);
      if (log !== undefined) yield* page(log, operation, before(operation.input.conversation));
    }
  }
}

function* page(log: LogFacts, { input, outcome }: Operation<"page">, known: number): Generator<Violation> {
  if (outcome.type !== "ok") return;
  const { entries, next } = outcome.answer;
  const { account, direction, seq } = input;
  let last: number | undefined;
  for (const entry of entries) {
    if (last !== undefined && (entry.seq <= last || hasHole(log, account, last, entry.seq)))
      yield { rule: "S12", text: `a page goes from ${last} to ${entry.seq}`, evidence: input };
    last = entry.seq;
  }
  const first = entries[0]?.seq;
  if (direction === "after" && first !== undefined && hasHole(log, account, Math.max(seq ?? 0, log.log.purged), first))
    yield { rule: "S12", text: `a page after ${seq} begins at ${first}`, evidence: input };
  const toTheEnd = direction === "newest" || (direction === "after" && next === null);
  // What retention removed since is in no page.
  const end = Math.max(last ?? seq ?? 0, log.log.purged);
  if (toTheEnd && end < known && intervalAt(log, account, known) !== undefined)
    yield { rule: "S12", text: `a page ends at ${end}, and its reader knew of ${known}`, evidence: input };
}

/** Whether an account may see something between two places; only within one membership, for others may be shown or not. */
function hasHole(log: LogFacts, account: AccountId, from: number, to: number): boolean {
  const interval = intervalAt(log, account, to);
  return interval !== undefined && Math.max(from, interval.joined - 1, log.log.purged) + 1 < to;
}

/** What each account that reads over HTTP knew of each conversation, and when. */
function knownByReaders({ history }: Facts): Map<string, Timeline> {
  const readers = new Set<AccountId>();
  for (const { kind, input } of history.operations)
    if (kind === "page" || kind === "snapshot") readers.add(input.account);
  const moments = new Map<string, [seq: number, at: number][]>();
  const learned = (account: AccountId, conversation: ConversationId, seq: number, at: number): void => {
    const key = `${account} ${conversation}`;
    const own = moments.get(key);
    if (own === undefined) moments.set(key, [[seq, at]]);
    else own.push([seq, at]);
  };
  for (const { input, events } of history.connections) {
    if (!readers.has(input.account)) continue;
    for (const event of events) {
      if (event.type === "delivered") learned(input.account, event.entry.conversation, event.entry.seq, event.at);
    }
  }
  for (const { kind, input, outcome } of history.operations) {
    if (outcome.type !== "ok" || !readers.has(input.account)) continue;
    if (kind === "send") learned(input.account, input.conversation, outcome.answer.seq, outcome.at);
    else if (kind === "snapshot") {
      for (const { conversation, lastSeq } of outcome.answer) learned(input.account, conversation, lastSeq, outcome.at);
    } else if (kind === "page") {
      const newest = outcome.answer.entries.at(-1);
      if (newest !== undefined) learned(input.account, newest.conversation, newest.seq, outcome.at);
    }
  }
  return new Map([...moments].map(([key, own]) => [key, new Timeline(own)]));
}

/** S14, acknowledgements: what was never sent is refused, and what was sent is not. */
export function* acknowledgementsAreJudged({ history }: Facts): Generator<Violation> {
  for (const { input, events } of history.connections) {
    const sent = new Map<ConversationId, number>();
    const waiting: { conversation: ConversationId; seq: number; at: number }[] = [];
    const violation = (text: string, event: object): Violation => ({
      rule: "S14",
      text,
      evidence: { device: input.device, node: input.node, event },
    });
    for (const event of events) {
      const reached = reachedBy(event);
      if (reached !== undefined)
        sent.set(reached.conversation, Math.max(sent.get(reached.conversation) ?? 0, reached.seq));
      else if (event.type === "acknowledged") {
        if (event.seq > (sent.get(event.conversation) ?? 0)) waiting.push(event);
      } else if (event.type === "acknowledgement_refused") {
        const place = waiting.findIndex(
          ({ conversation, seq }) => conversation === event.conversation && seq === event.seq,
        );
        // Another code says nothing of the seq: the frame came too fast, or to a full mailbox.
        if (place < 0 && event.code === "ack_ahead")
          yield violation("an acknowledgement of what was sent is refused", event);
        if (place >= 0) waiting.splice(place, 1);
      } else if (event.type === "settled") {
        // What the server had sent by then has come by now.
        for (const claim of waiting.splice(0)) {
          if (claim.at > event.since) waiting.push(claim);
          else if (claim.seq > (sent.get(claim.conversation) ?? 0))
            yield violation("an acknowledgement of what was never sent is accepted", claim);
        }
      }
    }
  }
}

function reachedBy(event: ConnectionEvent): { conversation: ConversationId; seq: number } | undefined {
  if (event.type === "delivered") return event.entry;
  if (event.type === "left") return event;
  if (event.type === "truncated") return { conversation: event.conversation, seq: event.before - 1 };
  return undefined;
}

/** A read mark that somebody set: where, and when. */
interface Mark {
  readonly seq: number;
  readonly at: number;
  readonly connection: Connection;
}

/**
 * S14, read marks: what others are told was marked, and it does not go back. Marks that were set on two
 * sockets may be told in either order, for their nodes know of each other by the log alone.
 */
export function* readMarksDoNotGoBack({ history }: Facts): Generator<Violation> {
  const marks = new Map<string, Mark[]>();
  for (const connection of history.connections) {
    for (const event of connection.events) {
      if (event.type !== "read_marked") continue;
      const key = `${connection.input.account} ${event.conversation}`;
      marks.set(key, [...(marks.get(key) ?? []), { seq: event.seq, at: event.at, connection }]);
    }
  }
  for (const { input, events } of history.connections) {
    const told = new Map<string, number>();
    for (const event of events) {
      if (event.type !== "read_told") continue;
      const key = `${event.account} ${event.conversation}`;
      const before = told.get(key) ?? 0;
      told.set(key, Math.max(before, event.seq));
      const own = marks.get(key) ?? [];
      const set = own.filter(({ seq, at }) => seq === event.seq && at < event.at);
      const evidence = { device: input.device, node: input.node, before, event };
      if (set.length === 0) yield { rule: "S14", text: "a read mark was told that nobody set", evidence };
      else if (event.seq < before) {
        const higher = own.filter(({ seq }) => seq === before);
        const excused = set.some((low) =>
          higher.some((high) => low.connection !== high.connection || low.at > high.at),
        );
        if (!excused) yield { rule: "S14", text: "a read mark went back", evidence };
      }
    }
  }
}
