/**
 * S25: what was changed stays changed. An answered edit, reaction or deletion is in the log; a message is shown in one
 * of its versions, and not in an older one than was answered before it was asked for; and what was deleted is
 * nowhere any more, in the log and for whoever asks after the answer.
 */
import type { AccountId } from "../../../src/protocol/mod.ts";
import type { Entry } from "./entry.ts";
import { type Facts, maySee, type Violation } from "./facts.ts";
import type { Operation } from "./history.ts";

/** Something that was shown, to whom, and since when it was being asked for. */
interface Shown {
  readonly entry: Entry;
  readonly account: AccountId;
  readonly since: number;
  /** Whether by a page, which shows messages as they are: what a socket is sent may have waited. */
  readonly byPage: boolean;
}

/** See the head of this file. */
export function* changesHold(facts: Facts): Generator<Violation> {
  yield* inTheLog(facts);
  yield* lastWords(facts);
  const { deletions, edits } = answeredChanges(facts);
  for (const one of shownSince(facts)) {
    const { entry, account, since } = one;
    const deleted = deletions.get(keyOf(entry, entry.target ?? entry.id));
    const says = entry.kind === "message" || entry.kind === "edit" || entry.kind === "reaction";
    if (says && deleted !== undefined && deleted < since)
      yield { rule: "S25", text: "what was deleted before was shown", evidence: { account, entry } };
    if (entry.kind !== "message") continue;
    yield* versionFits(facts, one);
    if (!one.byPage) continue;
    for (const edit of edits.get(keyOf(entry, entry.id)) ?? []) yield* notOlderThan(facts, one, edit);
  }
}

/** What was answered is in the log, and nothing of what was deleted. */
function* inTheLog({ logs, history }: Facts): Generator<Violation> {
  for (const { kind, input, outcome } of history.operations) {
    if (kind !== "change" || outcome.type !== "ok") continue;
    const log = logs.get(input.conversation);
    if (log === undefined || log.log.purged > 0) continue;
    const entries = log.log.entries;
    if (input.what === "edit") {
      const stored = input.id === null ? undefined : log.byId.get(input.id);
      const fits = stored?.kind === "tombstone" || (stored?.target === input.message && stored.said === input.said);
      if (!fits) yield { rule: "S25", text: "an answered edit is not in the log", evidence: { input, stored } };
    } else if (input.what === "delete") {
      const left = entries.filter(
        ({ kind: what, id, target }) =>
          what !== "tombstone" && what !== "deletion" && (id === input.message || target === input.message),
      );
      if (left.length > 0)
        yield { rule: "S25", text: "something of what was deleted is in the log", evidence: { input, left } };
      if (!entries.some(({ kind: what, target }) => what === "deletion" && target === input.message))
        yield { rule: "S25", text: "an answered deletion is not in the log", evidence: input };
    }
  }
}

/** Of one person, message and emoji the log holds one word, and it is the last that was answered. */
function* lastWords({ logs, history }: Facts): Generator<Violation> {
  const words = new Map<string, Entry>();
  for (const { log } of logs.values()) {
    for (const entry of log.entries) {
      if (entry.kind !== "reaction" || entry.target === undefined) continue;
      const key = `${keyOf(entry, entry.target)} ${entry.sender} ${entry.emoji}`;
      const other = words.get(key);
      if (other !== undefined)
        yield { rule: "S25", text: "a reaction is in the log twice", evidence: { entry, other } };
      words.set(key, entry);
    }
  }
  const asked = new Map<string, Operation<"change">[]>();
  for (const operation of history.operations) {
    if (operation.kind !== "change" || operation.input.emoji === null) continue;
    const { conversation, message, account, emoji } = operation.input;
    const key = `${conversation} ${message} ${account} ${emoji}`;
    asked.set(key, [...(asked.get(key) ?? []), operation]);
  }
  for (const [key, operations] of asked) {
    const last = operations.at(-1);
    if (last === undefined || last.outcome.type !== "ok") continue;
    // Where two were under way at once, or one may still happen, nobody can say which is the last.
    const apart = operations
      .slice(0, -1)
      .every(({ outcome }) => "at" in outcome && outcome.type !== "unknown" && outcome.at < last.invokedAt);
    const { conversation, message, what } = last.input;
    const log = logs.get(conversation);
    const gone = log?.byId.get(message)?.kind === "tombstone";
    if (!apart || gone || log === undefined || log.log.purged > 0) continue;
    const isThere = words.get(key)?.added ?? false;
    if (isThere !== (what === "react"))
      yield { rule: "S25", text: "the log does not say what was answered of a reaction", evidence: last.input };
  }
}

/** A message is shown as it was sent, which S3 judges, or as one of its edits says. */
function* versionFits({ logs }: Facts, { entry, account }: Shown): Generator<Violation> {
  if (entry.version === undefined) return;
  const log = logs.get(entry.conversation);
  const edit = log?.byId.get(entry.version);
  if (edit?.kind === "tombstone" || (log !== undefined && log.log.purged > 0)) return;
  const fits = edit?.kind === "edit" && edit.target === entry.id && edit.sender === entry.sender;
  if (fits && edit.said === entry.body) return;
  yield { rule: "S25", text: "a message was shown in a version that nobody wrote", evidence: { account, entry, edit } };
}

/** An edit that was answered before a page was asked for is on it, for who may see it. */
function* notOlderThan(facts: Facts, { entry, account, since }: Shown, edit: Answered): Generator<Violation> {
  const log = facts.logs.get(entry.conversation);
  if (log === undefined || edit.at >= since || !maySee(log, account, edit.seq)) return;
  const { sender, from, at: to } = edit;
  if (log.log.isDm && account !== sender && facts.blocks.possibly(account, { sender }, { from, to })) return;
  const shownAt = entry.version === undefined ? 0 : (log.byId.get(entry.version)?.seq ?? 0);
  if (shownAt < edit.seq)
    yield {
      rule: "S25",
      text: "a message was shown in an older version than was answered",
      evidence: { account, entry, edit },
    };
}

/** An answered edit: its place, and when it can have been stored. */
interface Answered {
  readonly seq: number;
  readonly sender: AccountId;
  readonly from: number;
  readonly at: number;
}

/** By message: when it was first said to be deleted, and its answered edits. */
function answeredChanges({ history, logs }: Facts) {
  const deletions = new Map<string, number>();
  const edits = new Map<string, Answered[]>();
  for (const { kind, input, invokedAt: from, outcome } of history.operations) {
    if (kind !== "change" || outcome.type !== "ok") continue;
    const key = keyOf(input, input.message);
    if (input.what === "delete" && !deletions.has(key)) deletions.set(key, outcome.at);
    const stored = input.id === null ? undefined : logs.get(input.conversation)?.byId.get(input.id);
    if (input.what !== "edit" || stored === undefined) continue;
    edits.set(key, [...(edits.get(key) ?? []), { seq: stored.seq, sender: stored.sender, from, at: outcome.at }]);
  }
  return { deletions, edits };
}

function* shownSince({ history }: Facts): Generator<Shown> {
  for (const { input, openedAt, events } of history.connections) {
    for (const event of events) {
      if (event.type === "delivered")
        yield { entry: event.entry, account: input.account, since: openedAt, byPage: false };
    }
  }
  for (const { kind, input, invokedAt: since, outcome } of history.operations) {
    if (kind !== "page" || outcome.type !== "ok") continue;
    for (const entry of outcome.answer.entries) yield { entry, account: input.account, since, byPage: true };
  }
}

function keyOf({ conversation }: Pick<Entry, "conversation">, message: string): string {
  return `${conversation} ${message}`;
}
