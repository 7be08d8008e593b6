/** S14 and S26: how far messages got, as sockets are told, and as pages and lists say. */
import type { AccountId, ConversationId } from "../../../src/protocol/mod.ts";
import { type Facts, intervalAt, type LogFacts, meets, messageKey, type Violation } from "./facts.ts";
import type { Connection, Operation, Snapshot, Status } from "./history.ts";
import { type Asking, Progress } from "./progress.ts";
import { messagesUpTo } from "./rules_members.ts";

/** Where a mark may have come from: how far a device said it is, and where. */
interface Source {
  readonly seq: number;
  readonly at: number;
  readonly node: string;
}

/**
 * S14, delivered marks: never beyond what some device acknowledged, and from one node never back. Nodes do not
 * know what others told, so marks of several may come in any order.
 */
export function* deliveredMarksHold(facts: Facts): Generator<Violation> {
  const progress = new Progress(facts);
  const sources = sourcesOf(facts.history.connections);
  const faults = facts.history.faults;
  for (const { input, events } of facts.history.connections) {
    const told = new Map<string, { seq: number; at: number }>();
    for (const event of events) {
      if (event.type !== "delivered_told") continue;
      const { account, conversation, seq, at } = event;
      const evidence = { device: input.device, node: input.node, event };
      if (seq > atMost(facts, progress, account, conversation, at))
        yield { rule: "S14", text: "a delivered mark is beyond what was acknowledged", evidence };
      const key = `${account} ${conversation}`;
      const before = told.get(key) ?? { seq: 0, at: 0 };
      if (seq > before.seq) told.set(key, { seq, at });
      if (seq >= before.seq) continue;
      const own = sources.get(key) ?? [];
      const nodes = new Set([seq, before.seq].flatMap((one) => own.filter((source) => source.seq === one).map(nodeOf)));
      const known = [seq, before.seq].every((one) => own.some((source) => source.seq === one && source.at < at));
      // A node that began anew remembers nothing.
      const began = Math.min(...own.filter((source) => source.seq === seq).map((source) => source.at));
      if (known && nodes.size === 1 && !meets(faults, Math.min(began, before.at), at))
        yield { rule: "S14", text: "a delivered mark went back", evidence: { ...evidence, before } };
    }
  }
}

function nodeOf({ node }: Source): string {
  return node;
}

function sourcesOf(connections: readonly Connection[]): Map<string, Source[]> {
  const sources = new Map<string, Source[]>();
  const add = (key: string, source: Source) => {
    const own = sources.get(key);
    if (own === undefined) sources.set(key, [source]);
    else own.push(source);
  };
  for (const { input, events } of connections) {
    const { account, node } = input;
    for (const event of events) {
      if (event.type === "acknowledged")
        add(`${account} ${event.conversation}`, { seq: event.seq, at: event.at, node });
      else if (event.type === "resumed")
        for (const [conversation, seq] of event.cursors) add(`${account} ${conversation}`, { seq, at: event.at, node });
    }
  }
  return sources;
}

/** What is not somebody's to see, or was removed, is not missing where everything up to a seq was given. */
function atMost(
  { logs }: Facts,
  progress: Progress,
  account: AccountId,
  conversation: ConversationId,
  moment: number,
): number {
  const log = logs.get(conversation);
  const before = log?.intervals.get(account)?.map(({ joined }) => joined - 1) ?? [];
  return Math.max(progress.givenAtMost(account, conversation, moment), log?.log.purged ?? 0, ...before);
}

const FAR: Readonly<Record<Status, number>> = { sent: 0, delivered: 1, read: 2 };

/** S26: what pages say of one's own messages, and lists of what one has read, is neither ahead nor behind. */
export function* receiptsAreRight(facts: Facts): Generator<Violation> {
  const progress = new Progress(facts);
  const countings = new Map<LogFacts, readonly number[]>();
  for (const operation of facts.history.operations) {
    const { kind, outcome, invokedAt: from } = operation;
    if (outcome.type !== "ok" || (kind !== "page" && kind !== "snapshot")) continue;
    const atRest = facts.history.atRest.has(operation);
    const asking: Asking = { node: operation.input.node, from, to: outcome.at, atRest };
    if (kind === "page") yield* statuses(facts, progress, operation, asking);
    else {
      for (const snapshot of operation.outcome.type === "ok" ? operation.outcome.answer : []) {
        const log = facts.logs.get(snapshot.conversation);
        if (log === undefined) continue;
        const counting = countings.get(log) ?? messagesUpTo(log, facts.byKey);
        countings.set(log, counting);
        yield* listed(facts, progress, { snapshot, log, counting, account: operation.input.account }, asking);
      }
    }
  }
}

function* statuses(
  facts: Facts,
  progress: Progress,
  { input, outcome }: Operation<"page">,
  asking: Asking,
): Generator<Violation> {
  const log = facts.logs.get(input.conversation);
  if (log === undefined || outcome.type !== "ok") return;
  const others = [...log.intervals.keys()].filter((account) => account !== input.account);
  for (const [seq, status] of outcome.answer.statuses) {
    const stored = log.bySeq.get(seq);
    if (stored === undefined) continue; // removed since
    const evidence = { account: input.account, ...asking, conversation: input.conversation, seq, status };
    if (stored.sender !== input.account) {
      yield { rule: "S26", text: "a status is shown of what somebody else said", evidence };
      continue;
    }
    const far = new Distance(facts, progress, log, asking, { sender: input.account, others, seq });
    if (FAR[status] > FAR[far.most])
      yield { rule: "S26", text: `a message is shown as ${status} that was not`, evidence };
    else if (FAR[status] < FAR[far.least])
      yield { rule: "S26", text: `a message is shown as ${status} that got farther`, evidence };
  }
}

/** How far one message got: what its status may say at most, and must say at least. */
class Distance {
  readonly most: Status;
  readonly least: Status;

  constructor(
    facts: Facts,
    progress: Progress,
    log: LogFacts,
    asking: Asking,
    {
      sender,
      others,
      seq,
    }: { readonly sender: AccountId; readonly others: readonly AccountId[]; readonly seq: number },
  ) {
    const { conversation, isDm } = log.log;
    const { from, to } = asking;
    const id = log.bySeq.get(seq)?.id;
    const whose = others.filter((account) => intervalAt(log, account, seq) !== undefined);
    const read = (account: AccountId) => progress.readAtMost(account, conversation, to) >= seq;
    const confirmed = (account: AccountId) => id !== undefined && progress.confirmedAtMost(account, id, to);
    const given = (account: AccountId) =>
      progress.givenAtMost(account, conversation, to) >= seq || read(account) || confirmed(account);
    // Who has left since may have been there no more.
    const stayed = whose.filter((account) => intervalAt(log, account, seq)?.left === Infinity);
    this.most = !stayed.every(given) ? "sent" : stayed.every(read) ? "read" : "delivered";

    const message = facts.byKey.get(messageKey(conversation, id ?? ("" as never)));
    const said = Math.min(...(message?.attempts.map(({ invokedAt }) => invokedAt) ?? [-Infinity]));
    const stands = isDm && others.some((other) => facts.blocks.maybeBetween(sender, other, { from: said, to }));
    const written = { ...asking, from: from - facts.times.pagedMs };
    const mayBeSilent = (account: AccountId) => facts.silent.possibly(account, { from, to });
    const surelyRead = (account: AccountId) => progress.readAtLeast(account, conversation, written) >= seq;
    const surelyGiven = (account: AccountId) =>
      progress.givenAtLeast(account, conversation, written) >= seq ||
      (!mayBeSilent(account) && surelyRead(account)) ||
      (isDm && id !== undefined && progress.confirmedAtLeast(account, id, from));
    if (whose.length === 0 || stands || !whose.every(surelyGiven)) this.least = "sent";
    else this.least = [sender, ...whose].some(mayBeSilent) || !whose.every(surelyRead) ? "delivered" : "read";
  }
}

/** One summary of a list. */
interface Listed {
  readonly snapshot: Snapshot;
  readonly log: LogFacts;
  readonly counting: readonly number[];
  readonly account: AccountId;
}

function* listed(
  facts: Facts,
  progress: Progress,
  { snapshot, log, counting, account }: Listed,
  asking: Asking,
): Generator<Violation> {
  const { conversation, isDm, purged } = log.log;
  const { read, first, lastSeq, unread } = snapshot;
  const evidence = { account, ...asking, snapshot };
  const before = log.intervals.get(account)?.map(({ joined }) => joined - 1) ?? [];
  if (read > Math.max(progress.readAtMost(account, conversation, asking.to), ...before))
    yield { rule: "S26", text: "a list says that somebody has read what they have not", evidence };
  if (read < Math.min(lastSeq, progress.readAtLeast(account, conversation, asking)))
    yield { rule: "S26", text: "a list says that somebody has read less than they have", evidence };
  const others = [...log.intervals.keys()].filter((other) => other !== account);
  const ever = { from: -Infinity, to: asking.to };
  const withheld = isDm && others.some((other) => facts.blocks.possibly(account, { sender: other }, ever));
  if (purged > 0 || withheld) return;
  const expected = (counting[lastSeq] ?? 0) - (counting[Math.max(read, first - 1)] ?? 0);
  if (unread !== expected)
    yield { rule: "S26", text: `a list counts ${unread} unread messages`, evidence: { ...evidence, expected } };
}
