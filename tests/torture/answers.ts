/** What the processes of the torture test were answered, as a history that the checker can judge. */
import type { AccountId, ConversationId, DeviceId, MessageId, SessionId } from "../../src/protocol/mod.ts";
import { type Connection, History } from "../support/history/history.ts";

/** One answer that a process got, as it wrote it down. */
export interface Answer {
  readonly process: number;
  readonly conversation: ConversationId;
  readonly sender: AccountId;
  readonly id: MessageId;
  /** The digest as hex. */
  readonly digest: string;
  readonly status: string;
  readonly seq: number | null;
  /** Milliseconds since the epoch. */
  readonly at: number | null;
  /** The place in the sender's own order, or `null` where several processes send the same. */
  readonly order: number | null;
}

/** Refusals that mean that nothing was stored. */
const FOR_GOOD: ReadonlySet<string> = new Set(["not_member", "conflict_body", "conflict_id", "id_out_of_window"]);

/**
 * Each sender is a connection to one conversation, so that its order is judged. The processes have
 * clocks of their own: everything counts as begun before anything was answered, and nothing is
 * concluded from time.
 */
export function historyOf(answers: readonly Answer[]): History {
  const history = new History();
  const senders = new Map<string, Connection>();
  const inOrder = answers.toSorted((a, b) => (a.order ?? 0) - (b.order ?? 0));
  const begun = inOrder.map((answer) => {
    const { conversation, sender: account, id, digest: body, order } = answer;
    const asked = { account, session: "" as SessionId, device: account as string as DeviceId };
    const node = String(answer.process);
    const key = `${conversation} ${account}`;
    if (order !== null && !senders.has(key)) senders.set(key, history.connection({ ...asked, node }));
    const via = order === null ? null : (senders.get(key) ?? null);
    return { answer, send: history.send({ ...asked, node, conversation, id, body, via, ordered: order !== null }) };
  });
  for (const { answer, send } of begun) {
    const { seq, at: createdAt, status } = answer;
    if (seq !== null && createdAt !== null) send.ok({ seq, createdAt, inOrder: false });
    else if (FOR_GOOD.has(status)) send.refused(status, false);
    else send.unknown("cut");
  }
  return history;
}
