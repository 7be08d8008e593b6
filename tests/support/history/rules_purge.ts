/** S15, the part of the log: retention removes what was due, and of a log that is kept nothing. */
import type { Facts, Violation } from "./facts.ts";

/** What was acknowledged lies above the purge mark until its time. */
export function* purgedWhenDue({ logs, messages, final }: Facts): Generator<Violation> {
  for (const { conversation, attempts } of messages) {
    const log = logs.get(conversation)?.log;
    if (log === undefined || log.purged === 0) continue;
    for (const { input, outcome } of attempts) {
      if (outcome.type !== "ok" || outcome.answer.seq > log.purged) continue;
      const { seq, createdAt } = outcome.answer;
      if (log.retentionMs !== null && createdAt + log.retentionMs <= final.date) continue;
      const evidence = { conversation, id: input.id, seq, createdAt, purged: log.purged, retentionMs: log.retentionMs };
      yield { rule: "S15", text: "a message was removed before its time", evidence };
      break;
    }
  }
}
