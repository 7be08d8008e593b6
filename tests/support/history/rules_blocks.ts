/** S24: who blocks somebody is given nothing of what they say in a dm meanwhile, and everybody else all of it. */
import type { AccountId } from "../../../src/protocol/mod.ts";
import { storedWithin } from "./blocks.ts";
import type { Entry } from "./entry.ts";
import { type Facts, messageKey, shown, type Violation } from "./facts.ts";

/** See the head of this file. What meets the beginning or the end of a block may be shown or not. */
export function* withheldWhileBlocked(facts: Facts): Generator<Violation> {
  for (const { entry, account } of shown(facts.history)) {
    const stored = facts.logs.get(entry.conversation)?.byId.get(entry.id);
    if (stored?.kind !== "message") continue;
    const evidence = { account, entry, sender: stored.sender };
    if (entry.kind !== "tombstone") {
      if (isWithheld(facts, stored, account, "certainly"))
        yield { rule: "S24", text: "somebody was given what one they block said", evidence };
    } else if (facts.logs.get(entry.conversation)?.log.retentionMs === null) {
      if (!isWithheld(facts, stored, account, "possibly"))
        yield { rule: "S24", text: "a message was withheld from who blocks nobody", evidence };
    }
  }
}

/**
 * Whether a message of a dm was stored while its reader blocked its sender. When what changes a message was stored
 * nobody wrote down: it may have been whenever there was a block.
 */
export function isWithheld(
  { logs, byKey, seen, blocks }: Facts,
  { conversation, id, seq, sender, kind }: Entry,
  reader: AccountId,
  how: "certainly" | "possibly",
): boolean {
  const message = byKey.get(messageKey(conversation, id));
  if (reader === sender || logs.get(conversation)?.log.isDm !== true) return false;
  if (message === undefined) {
    const isChange = kind !== "membership" && kind !== "notice";
    return how === "possibly" && isChange && blocks.possibly(reader, { sender }, { from: -Infinity, to: Infinity });
  }
  return blocks[how](reader, { sender }, storedWithin(message.attempts, seen.get(conversation)?.get(seq)));
}
