/** S28: marks are told to nobody who may not know: by choice, while one blocks the other, and outside of a conversation. */
import type { AccountId } from "../../../src/protocol/mod.ts";
import { due, type Facts, faultsOfNodes, messageKey, type Violation } from "./facts.ts";
import type { ConnectionEvent, Fault } from "./history.ts";

type Mark = Extract<ConnectionEvent, { readonly type: "read_told" | "delivered_told" }>;

/** S28, sockets: see the head of this file. What nodes tell each other may take its time, and longer beside a fault. */
export function* marksAreToldToWhoMayKnow(facts: Facts): Generator<Violation> {
  const faults = faultsOfNodes(facts.history);
  for (const { input, events } of facts.history.connections) {
    for (const event of events) {
      if (event.type !== "read_told" && event.type !== "delivered_told") continue;
      const text = wrongToTell(facts, faults, input.account, event);
      if (text !== null)
        yield {
          rule: "S28",
          text,
          evidence: { account: input.account, device: input.device, node: input.node, event },
        };
    }
  }
}

function wrongToTell(facts: Facts, faults: readonly Fault[], to: AccountId, mark: Mark): string | null {
  const { account: of, conversation, at } = mark;
  const log = facts.logs.get(conversation);
  if (log === undefined) return null;
  if ([of, to].some((account) => !log.intervals.has(account))) return "a mark was told across a conversation's border";
  if (of === to) return mark.type === "read_told" ? null : "somebody was told what was delivered to themselves";
  if (mark.type === "read_told") {
    // A mark that was set before the choice may still be on its way, not longer than the choice itself.
    for (const account of [of, to])
      if (isSettled(facts, faults, facts.silent.onSince(account, at), at))
        return account === of ? "a read mark was told of who gives none" : "a read mark was told to who gets none";
  }
  const blocked = log.log.isDm && isSettled(facts, faults, facts.blocks.betweenSince(of, to, at), at);
  return blocked ? "a mark was told although one blocks the other" : null;
}

/** Whether something has held for so long that every node must know. */
export function isSettled({ times }: Facts, faults: readonly Fault[], since: number | null, moment: number): boolean {
  return since !== null && due(faults, since, times.settledMs).at < moment;
}

/** S28, pages: nobody sees `read` of who gives no marks, and of a message to somebody with a block nothing but `sent`. */
export function* statusesShowWhatMayBeKnown(facts: Facts): Generator<Violation> {
  for (const { kind, input, invokedAt: from, outcome } of facts.history.operations) {
    if (kind !== "page" || outcome.type !== "ok") continue;
    const log = facts.logs.get(input.conversation);
    if (log === undefined) continue;
    const span = { from, to: outcome.at };
    const silent = (account: AccountId) => facts.silent.certainly(account, span);
    for (const [seq, status] of outcome.answer.statuses) {
      if (status === "sent") continue;
      const members = [...log.intervals].filter(([, own]) =>
        own.some(({ joined, left }) => joined <= seq && left === Number.POSITIVE_INFINITY),
      );
      const evidence = { account: input.account, conversation: input.conversation, seq, status, ...span };
      if (status === "read" && members.length > 1 && members.some(([account]) => silent(account)))
        yield { rule: "S28", text: "a message is shown as read by or to who gives no marks", evidence };
      const id = log.bySeq.get(seq)?.id;
      if (!log.log.isDm || id === undefined) continue;
      const said = facts.byKey.get(messageKey(input.conversation, id))?.attempts[0].invokedAt ?? -Infinity;
      const blocked = members.some(([account]) => {
        const since = account === input.account ? null : facts.blocks.betweenSince(input.account, account, span.to);
        return since !== null && since < said;
      });
      if (blocked) yield { rule: "S28", text: "a status goes on although one blocks the other", evidence };
    }
  }
}
