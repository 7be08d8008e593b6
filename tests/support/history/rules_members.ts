/** S13 and S16: who saw and sent what, by the memberships, and what summaries said of them. */
import type { AccountId } from "../../../src/protocol/mod.ts";
import { type Facts, type LogFacts, maySee, messageKey, shown, type Violation } from "./facts.ts";

/** S13: nobody is shown anything, and nobody sends anything, outside of a membership. */
export function* withinMembership({ logs, history }: Facts): Generator<Violation> {
  for (const { entry, account } of shown(history)) {
    const log = logs.get(entry.conversation);
    if (log === undefined || maySee(log, account, entry.seq)) continue;
    const evidence = { account, entry, intervals: log.intervals.get(account) ?? [] };
    yield { rule: "S13", text: "an entry was shown to who may not see it", evidence };
  }
  for (const facts of logs.values()) {
    for (const entry of facts.log.entries) {
      if (entry.kind !== "message" || maySee(facts, entry.sender, entry.seq)) continue;
      yield { rule: "S13", text: "a message was stored of who was no member", evidence: entry };
    }
    yield* membersAsLogged(facts);
  }
}

/** A membership begins and ends at the entry that says so. */
function* membersAsLogged({ log, changes }: LogFacts): Generator<Violation> {
  if (log.purged > 0) return; // the entries are gone
  const said = new Set(
    changes.flatMap(({ seq, change }) => (change?.accounts ?? []).map((account) => `${seq} ${account}`)),
  );
  for (const { account, joined, left } of log.members) {
    // The first entry opens the conversation, and names whoever is there.
    if (joined > 1 && !said.has(`${joined} ${account}`))
      yield { rule: "S13", text: "a membership begins without an entry", evidence: { account, joined } };
    if (left !== null && !said.has(`${left} ${account}`))
      yield { rule: "S13", text: "a membership ends without an entry", evidence: { account, left } };
  }
}

/**
 * S16: a summary is what the log up to its last seq amounts to, so a summary and the entries after it
 * give every later one. Where retention removed entries there is nothing to count.
 */
export function* summariesAddUp({ logs, byKey, history }: Facts): Generator<Violation> {
  const countings = new Map<LogFacts, readonly number[]>();
  for (const { kind, input, outcome } of history.operations) {
    if (kind !== "snapshot" || outcome.type !== "ok") continue;
    for (const snapshot of outcome.answer) {
      const facts = logs.get(snapshot.conversation);
      if (facts === undefined || facts.log.purged > 0) continue;
      const { lastSeq, participants, messages } = snapshot;
      const expected = membersAt(facts, lastSeq);
      const evidence = { account: input.account, snapshot, expected: [...expected] };
      if (participants.length !== expected.size || participants.some((one) => !expected.has(one)))
        yield { rule: "S16", text: "a summary names other members than its log", evidence };
      let counting = countings.get(facts);
      if (counting === undefined) {
        counting = messagesUpTo(facts, byKey);
        countings.set(facts, counting);
      }
      if (counting[lastSeq] === messages) continue;
      yield {
        rule: "S16",
        text: `a summary counts ${messages} messages`,
        evidence: { ...evidence, of: counting[lastSeq] },
      };
    }
  }
}

function membersAt({ intervals }: LogFacts, seq: number): Set<AccountId> {
  const members = new Set<AccountId>();
  for (const [account, own] of intervals) {
    if (own.some(({ joined, left }) => joined <= seq && seq < left)) members.add(account);
  }
  return members;
}

/** How many messages there are up to each seq. A tombstone does not say what it was: whoever sent it knows. */
export function messagesUpTo({ log }: LogFacts, sent: Facts["byKey"]): readonly number[] {
  const counts: number[] = [0];
  for (const { conversation, seq, id, kind } of log.entries) {
    const isMessage = kind === "message" || (kind === "tombstone" && sent.has(messageKey(conversation, id)));
    counts[seq] = (counts[seq - 1] ?? 0) + (isMessage ? 1 : 0);
  }
  return counts;
}
