/**
 * S29: how people are seen, as far as sockets can tell. They are shown to who shares a conversation with them,
 * to nobody while they hide or one of the two blocks the other, as offline only after some time without a
 * socket, and not differently again and again.
 */
import type { AccountId } from "../../../src/protocol/mod.ts";
import { type Facts, faultsOfNodes, meets, type Violation } from "./facts.ts";
import type { Connection, Fault } from "./history.ts";
import { isSettled } from "./rules_told.ts";

/** One thing that a socket was told of somebody. */
interface Told {
  readonly status: string;
  readonly at: number;
}

/** Who is told of whom, where, and what; what the rules have in common. */
interface Pair {
  readonly reader: Connection;
  readonly of: AccountId;
  readonly told: readonly Told[];
}

/** What somebody sets themselves is told after this part of the time that others take. */
const CHOICES = 6;
/** A change that is told early by the reader's clock, for it was told the last time late (ms). */
const LATE_MS = 5_000;

/** See the head of this file. */
export function* presenceHolds(facts: Facts): Generator<Violation> {
  const faults = faultsOfNodes(facts.history);
  const sockets = new Map<AccountId, Connection[]>();
  for (const connection of facts.history.connections) {
    const { account } = connection.input;
    sockets.set(account, [...(sockets.get(account) ?? []), connection]);
  }
  for (const pair of pairsOf(facts.history.connections)) {
    const own = sockets.get(pair.of) ?? [];
    yield* toWhoMayKnow(facts, faults, pair);
    yield* offlineWhenGone(facts, faults, pair, own);
    yield* seldom(facts, faults, pair, own);
    yield* hiddenInTime(facts, pair, own);
  }
}

function* pairsOf(connections: readonly Connection[]): Generator<Pair> {
  for (const reader of connections) {
    const told = new Map<AccountId, Told[]>();
    for (const event of reader.events) {
      if (event.type !== "presence_told") continue;
      const own = told.get(event.account) ?? [];
      told.set(event.account, own);
      own.push(event);
    }
    for (const [of, all] of told) yield { reader, of, told: all };
  }
}

function* toWhoMayKnow(facts: Facts, faults: readonly Fault[], { reader, of, told }: Pair): Generator<Violation> {
  const { account } = reader.input;
  const evidence = { account, node: reader.input.node, of, told };
  const shared = [...facts.logs.values()].some(({ intervals }) => intervals.has(account) && intervals.has(of));
  if (!shared || account === of) yield { rule: "S29", text: "somebody was told of who is no contact", evidence };
  for (const { status, at } of told) {
    if (status === "offline") continue;
    if (isSettled(facts, faults, facts.hidden.onSince(of, at), at))
      yield { rule: "S29", text: "somebody who hides was shown", evidence: { ...evidence, at } };
    if (isSettled(facts, faults, facts.blocks.betweenSince(of, account, at), at))
      yield { rule: "S29", text: "somebody was shown although one blocks the other", evidence: { ...evidence, at } };
  }
}

/** Whether somebody may have been offline to a reader for another reason than having gone, lately. */
function mayBeHidden({ hidden, blocks, times }: Facts, of: AccountId, reader: AccountId, at: number): boolean {
  const lately = { from: at - 2 * times.graceMs, to: at };
  return hidden.possibly(of, lately) || blocks.maybeBetween(of, reader, lately);
}

/** Nobody is said to be offline who had a socket within the time that is given to come back. */
function* offlineWhenGone(
  facts: Facts,
  faults: readonly Fault[],
  { reader, of, told }: Pair,
  own: readonly Connection[],
): Generator<Violation> {
  const { graceMs, settledMs } = facts.times;
  for (const { status, at } of told) {
    if (status !== "offline" || mayBeHidden(facts, of, reader.input.account, at)) continue;
    const from = at - graceMs + 1_000;
    if (meets(faults, from - settledMs, at)) continue;
    const there = own.find((socket) => {
      const fed = socket.events.find(({ type }) => type === "caught_up")?.at ?? Infinity;
      return fed < at - settledMs && (socket.closed?.at ?? Infinity) > from;
    });
    if (there === undefined) continue;
    const evidence = { reader: reader.input, of, at, openedAt: there.openedAt, closed: there.closed };
    yield { rule: "S29", text: "somebody who had a socket was said to be offline", evidence };
  }
}

/** Of somebody whose sockets stay one change is told in that time; that they are back is told at once. */
function* seldom(
  facts: Facts,
  faults: readonly Fault[],
  { reader, of, told }: Pair,
  own: readonly Connection[],
): Generator<Violation> {
  const changes = told.filter(({ status }, place) => place > 0 && status !== told[place - 1]?.status);
  for (const [place, { status, at }] of changes.entries()) {
    const before = changes[place - 1];
    if (before === undefined || before.status === "offline") continue;
    const from = before.at - LATE_MS;
    if (at - before.at > facts.times.graceMs - LATE_MS) continue;
    if (mayBeHidden(facts, of, reader.input.account, at) || meets(faults, from - facts.times.graceMs, at)) continue;
    // A node that did not know them before does not know either what was told last.
    if (own.some(({ openedAt }) => openedAt >= from && openedAt <= at)) continue;
    const evidence = { reader: reader.input, of, before, at, status };
    yield { rule: "S29", text: "of somebody another change was told too soon", evidence };
  }
}

/** Who begins to hide, or to block, is offline from then on to whoever had been told of them. */
function* hiddenInTime(facts: Facts, { reader, of, told }: Pair, own: readonly Connection[]): Generator<Violation> {
  const { history, times } = facts;
  for (const operation of history.operations) {
    const { kind, input, outcome, invokedAt } = operation;
    if (outcome.type !== "ok" || outcome.at < reader.openedAt) continue;
    const isHiding = kind === "settings" && input.hidden === true && input.account === of;
    const people = kind === "block" && input.change === "block" ? [input.account, input.whom] : [];
    const isBlocking = people.includes(of) && people.includes(reader.input.account);
    if (!isHiding && !isBlocking) continue;
    const until = outcome.at + times.settledMs + times.graceMs / CHOICES;
    const stays = (facts.history.final?.at ?? 0) > until && (reader.closed?.at ?? Infinity) > until;
    const holds = isHiding
      ? facts.hidden.certainly(of, { from: outcome.at + 0.000_1, to: until })
      : (facts.blocks.betweenSince(of, reader.input.account, until) ?? Infinity) <= outcome.at;
    // It is for the nodes of who hides to tell: so they have to be there.
    const there = own.some(
      ({ openedAt, closed }) => openedAt < invokedAt - times.settledMs && (closed?.at ?? Infinity) > until,
    );
    if (!stays || !holds || !there || meets(history.faults, invokedAt - times.graceMs, until)) continue;
    const last = told.findLast(({ at }) => at <= until);
    if (last === undefined || last.status === "offline") continue;
    const evidence = { reader: reader.input, of, last, since: outcome.at, until };
    yield { rule: "S29", text: "somebody who hides, or with a block, was not said to be offline", evidence };
  }
}
