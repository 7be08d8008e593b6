/** S27: what waits for somebody by the relay's contract is what was sent to them and not confirmed, in any order. */
import type { AccountId, MessageId } from "../../../src/protocol/mod.ts";
import type { Facts, Violation } from "./facts.ts";
import type { History, Operation } from "./history.ts";

/** One message, by every attempt to send it and to confirm it. */
interface Relayed {
  readonly sender: AccountId;
  readonly recipient: AccountId;
  readonly body: string;
  readonly ids: Set<MessageId>;
  /** When it was first sent, and when that was first answered. */
  readonly sent: number;
  stored: number;
  /** When its confirming was first asked for, and first answered. */
  confirming: number;
  confirmed: number;
}

/** See the head of this file. */
export function* confirmationsHold({ history, logs }: Facts): Generator<Violation> {
  const { byBody, byId } = relayedOf(history);
  for (const { kind, input, outcome } of history.operations) {
    if (kind !== "confirm") continue;
    const { recipient } = byId.get(input.message) ?? {};
    if (outcome.type === "ok" && recipient !== input.account)
      yield { rule: "S27", text: "somebody confirmed what was not sent to them", evidence: input };
    if (outcome.type === "refused" && outcome.code === "not_found" && recipient === input.account)
      yield { rule: "S27", text: "a confirmation of what was sent is refused", evidence: input };
  }
  for (const operation of history.operations) {
    if (operation.kind === "inbox") yield* inbox(operation, byBody, byId);
  }
  for (const message of byBody.values()) {
    const stored = [...logs.values()].flatMap(({ log }) => log.entries.filter(({ body }) => body === message.body));
    const places = stored.filter(({ sender }) => sender === message.sender).length;
    if (places > 1 || message.ids.size > 1)
      yield { rule: "S27", text: "a repeat of a relayed message is another message", evidence: { message, stored } };
    if (places === 0 && message.ids.size > 0)
      yield { rule: "S27", text: "a relayed message is not in the log", evidence: message };
  }
}

function* inbox(
  { input, invokedAt, outcome }: Operation<"inbox">,
  byBody: ReadonlyMap<string, Relayed>,
  byId: ReadonlyMap<MessageId, Relayed>,
): Generator<Violation> {
  if (outcome.type !== "ok") return;
  const { messages, whole } = outcome.answer;
  const listed = new Set<MessageId>();
  let last = -Infinity;
  for (const { id, sender, body, createdAt } of messages) {
    const message = byBody.get(body);
    const evidence = { account: input.account, node: input.node, id, message };
    if (message === undefined || message.sender !== sender || message.recipient !== input.account)
      yield { rule: "S27", text: "something waits for somebody that was not sent to them", evidence };
    else if (message.confirmed < invokedAt) yield { rule: "S27", text: "what was confirmed is listed again", evidence };
    if (createdAt < last || listed.has(id)) yield { rule: "S27", text: "a list is not in its order", evidence };
    last = createdAt;
    listed.add(id);
  }
  if (!whole) return;
  for (const [id, message] of byId) {
    if (message.recipient !== input.account || message.stored > invokedAt || listed.has(id)) continue;
    if (message.confirming < outcome.at) continue;
    const evidence = { account: input.account, node: input.node, id, message };
    yield { rule: "S27", text: "what was not confirmed is not listed", evidence };
  }
}

function relayedOf({ operations }: History): {
  readonly byBody: ReadonlyMap<string, Relayed>;
  readonly byId: ReadonlyMap<MessageId, Relayed>;
} {
  const byBody = new Map<string, Relayed>();
  const byId = new Map<MessageId, Relayed>();
  for (const { kind, input, invokedAt, outcome } of operations) {
    if (kind !== "relay") continue;
    const fresh = { sender: input.account, ...input, ids: new Set<MessageId>(), sent: invokedAt, stored: Infinity };
    const message = byBody.get(input.body) ?? { ...fresh, confirming: Infinity, confirmed: Infinity };
    byBody.set(input.body, message);
    if (outcome.type !== "ok") continue;
    message.ids.add(outcome.answer.id);
    message.stored = Math.min(message.stored, outcome.at);
    byId.set(outcome.answer.id, message);
  }
  // Who was given a message by its list knows its id too, where its sender was not answered.
  for (const { kind, outcome } of operations) {
    if (kind !== "inbox" || outcome.type !== "ok") continue;
    for (const { id, body } of outcome.answer.messages) {
      const message = byBody.get(body);
      if (message !== undefined && message.ids.size === 0) byId.set(id, message);
    }
  }
  for (const { kind, input, invokedAt, outcome } of operations) {
    const message = kind === "confirm" ? byId.get(input.message) : undefined;
    if (message === undefined) continue;
    message.confirming = Math.min(message.confirming, invokedAt);
    if (outcome.type === "ok") message.confirmed = Math.min(message.confirmed, outcome.at);
  }
  return { byBody, byId };
}
