/** S1-S5, S8, S9: what was answered and what was shown, against what the log holds. */
import type { Entry } from "./entry.ts";
import { type Facts, type Message, messageKey, shown, type Violation } from "./facts.ts";
import type { Operation } from "./history.ts";

/** An attempt and its answer. */
type Answered = { readonly send: Operation<"send">; readonly seq: number; readonly createdAt: number };

/** S1: what was acknowledged is in the log, and what was refused for good is not. */
export function* storedOnceAcknowledged({ messages, logs, history }: Facts): Generator<Violation> {
  for (const message of messages) {
    const log = logs.get(message.conversation);
    const stored = log?.byId.get(message.id);
    for (const { seq, send } of answersOf(message)) {
      if (stored !== undefined || (log !== undefined && seq <= log.log.purged)) continue;
      yield { rule: "S1", text: "an acknowledged message is not in the log", evidence: { seq, ...named(send) } };
    }
    if (
      stored !== undefined &&
      message.attempts.every(({ outcome }) => outcome.type === "refused" && !outcome.retryable)
    )
      yield { rule: "S1", text: "a message that was refused for good is in the log", evidence: stored };
  }
  for (const { kind, input, outcome } of history.operations) {
    if (kind !== "membership" || outcome.type !== "ok") continue;
    const log = logs.get(outcome.answer.conversation);
    const wanted = input.change === "add" ? ["joined"] : input.change === "remove" ? ["left", "removed"] : ["created"];
    const told = log?.changes.some(
      ({ change }) =>
        change !== undefined &&
        wanted.includes(change.change) &&
        input.accounts.every((account) => change.accounts.includes(account)),
    );
    if (told === true || (log !== undefined && log.log.purged > 0)) continue;
    yield { rule: "S1", text: "an answered change of members is not in the log", evidence: input };
  }
}

/** S2: nothing is in the log that nobody sent, and nothing is shown that is not in the log. */
export function* nothingInvented({ logs, byKey, history }: Facts): Generator<Violation> {
  const relayed = new Set<string>();
  for (const { kind, input } of history.operations) if (kind === "relay") relayed.add(`${input.account} ${input.body}`);
  for (const { log } of logs.values()) {
    for (const entry of log.entries) {
      if (entry.kind !== "message" || byKey.has(messageKey(entry.conversation, entry.id))) continue;
      if (relayed.has(`${entry.sender} ${entry.body}`)) continue;
      yield { rule: "S2", text: "a message is in the log that nobody sent", evidence: entry };
    }
  }
  for (const { entry, account } of shown(history)) {
    const log = logs.get(entry.conversation);
    if (log?.byId.has(entry.id) === true || (log !== undefined && entry.seq <= log.log.purged)) continue;
    yield { rule: "S2", text: "an entry was shown that is not in the log", evidence: { account, entry } };
  }
}

/** S3: what is stored is what was sent, and what is shown is what is stored. */
export function* intact({ logs, byKey, history }: Facts): Generator<Violation> {
  for (const { log } of logs.values()) {
    for (const entry of log.entries) {
      const message = byKey.get(messageKey(entry.conversation, entry.id));
      if (message === undefined) continue;
      const sent = message.attempts.some(
        ({ input }) => input.account === entry.sender && (entry.body === null || input.body === entry.body),
      );
      if (!sent) yield { rule: "S3", text: "what is stored is not what was sent", evidence: entry };
    }
  }
  for (const { entry, account } of shown(history)) {
    const stored = logs.get(entry.conversation)?.byId.get(entry.id);
    if (stored === undefined) continue;
    // A tombstone may have come since, and what had expired when it was shown need not have lost its body yet.
    const gone = stored.kind === "tombstone" || entry.kind === "tombstone";
    // Of an edited message the version is judged by S25.
    const edited = stored.kind === "message" && entry.kind === "message" && entry.version !== undefined;
    if (
      entry.sender === stored.sender &&
      (gone || edited || (entry.kind === stored.kind && entry.body === stored.body))
    )
      continue;
    yield { rule: "S3", text: "what was shown is not what is stored", evidence: { account, entry, stored } };
  }
}

/** S4: place, id and time of an entry are the same for everybody, on every node. */
export function* agreed({ logs, messages, history }: Facts): Generator<Violation> {
  for (const message of messages) {
    const stored = logs.get(message.conversation)?.byId.get(message.id);
    const answers = answersOf(message);
    if (stored === undefined || disagree(answers)) continue; // the one is S1, the other S9
    const [first] = answers;
    if (first === undefined || samePlace(first, stored)) continue;
    const evidence = { ...named(first.send), seq: first.seq, createdAt: first.createdAt, stored };
    yield { rule: "S4", text: "a receipt names another place than the log", evidence };
  }
  const gone = new Map<string, Entry>();
  for (const { entry, account } of shown(history)) {
    const log = logs.get(entry.conversation);
    if (log === undefined) continue;
    const stored = log.byId.get(entry.id) ?? (entry.seq <= log.log.purged ? agreement(gone, entry) : undefined);
    if (stored === undefined || (samePlace(entry, stored) && entry.id === stored.id)) continue;
    yield {
      rule: "S4",
      text: "an entry was shown at another place than the log's",
      evidence: { account, entry, stored },
    };
  }
}

/** S5: a log counts 1, 2, 3 … above its purge mark up to its head. */
export function* dense({ logs }: Facts): Generator<Violation> {
  for (const { log } of logs.values()) {
    let last = log.purged;
    for (const entry of log.entries) {
      if (entry.seq <= log.purged) continue;
      if (entry.seq !== last + 1)
        yield { rule: "S5", text: `a log goes from ${last} to ${entry.seq}`, evidence: entry };
      last = entry.seq;
    }
    const { conversation, lastSeq } = log;
    if (lastSeq !== last)
      yield { rule: "S5", text: `a head says ${lastSeq}, and its log ends at ${last}`, evidence: { conversation } };
  }
}

/** S8, the part of the log: an id has one place. */
export function* storedOnce({ logs }: Facts): Generator<Violation> {
  for (const { log, byId } of logs.values()) {
    for (const entry of log.entries) {
      if (byId.get(entry.id) === entry) continue;
      yield { rule: "S8", text: "an id is in the log twice", evidence: { entry, other: byId.get(entry.id) } };
    }
  }
}

/** S9: every attempt of an id gets the same answer, and nobody else gets one for it. */
export function* oneAnswer({ logs, messages }: Facts): Generator<Violation> {
  for (const message of messages) {
    const answers = answersOf(message);
    if (disagree(answers)) {
      const evidence = answers.map(({ send, seq, createdAt }) => ({ ...named(send), seq, createdAt }));
      yield { rule: "S9", text: "one id was given several places", evidence };
    }
    const stored = logs.get(message.conversation)?.byId.get(message.id);
    if (stored === undefined || !wasSent(message, stored)) continue;
    for (const { send } of answers) {
      const { account, body } = send.input;
      if (account === stored.sender && (stored.body === null || body === stored.body)) continue;
      yield { rule: "S9", text: "another body or sender was acknowledged under a stored id", evidence: named(send) };
    }
  }
}

function wasSent(message: Message, { sender, body }: Entry): boolean {
  return message.attempts.some(({ input }) => input.account === sender && (body === null || input.body === body));
}

function answersOf({ attempts }: Message): Answered[] {
  return attempts.flatMap((send) => (send.outcome.type === "ok" ? [{ send, ...send.outcome.answer }] : []));
}

function disagree(answers: readonly Answered[]): boolean {
  return answers.some((answer) => answers[0] !== undefined && !samePlace(answer, answers[0]));
}

function samePlace(one: Pick<Entry, "seq" | "createdAt">, other: Pick<Entry, "seq" | "createdAt">): boolean {
  return one.seq === other.seq && one.createdAt === other.createdAt;
}

/** What was first shown at a place that retention has removed since. */
function agreement(gone: Map<string, Entry>, entry: Entry): Entry {
  const key = `${entry.conversation} ${entry.seq}`;
  const first = gone.get(key) ?? entry;
  gone.set(key, first);
  return first;
}

function named({ input }: Operation<"send">): object {
  const { conversation, id, account, node, body } = input;
  return { conversation, id, account, node, body };
}
