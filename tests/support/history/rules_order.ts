/** S10 and S11: a sender's order, and what was seen before a message was sent. */
import type { ConversationId } from "../../../src/protocol/mod.ts";
import { type Facts, messageKey, type Violation } from "./facts.ts";
import type { Connection, Operation } from "./history.ts";

/**
 * S10: the messages of one connection to one conversation are stored in the order in which they were
 * first sent on it [MSG-4, MSG-5]. A message that was refused for good before gives up its place.
 */
export function* senderOrder(facts: Facts): Generator<Violation> {
  const tops = new Map<Connection, Map<ConversationId, { seq: number; send: Operation<"send"> }>>();
  const begun = new Map<Connection, Set<string>>();
  for (const send of facts.history.operations) {
    if (send.kind !== "send" || send.input.via === null || !send.input.ordered) continue;
    const { conversation, id, via } = send.input;
    const key = messageKey(conversation, id);
    const keys = orMake(begun, via, () => new Set<string>());
    if (keys.has(key)) continue;
    keys.add(key);
    const stored = facts.logs.get(conversation)?.byId.get(id);
    if (stored === undefined || refusedBefore(facts, key, send)) continue;
    const ofConnection = orMake(tops, via, () => new Map());
    const top = ofConnection.get(conversation);
    if (top !== undefined && stored.seq < top.seq) {
      const evidence = { device: via.input.device, first: top.send.input.id, second: id, at: [top.seq, stored.seq] };
      yield { rule: "S10", text: "a sender's order is inverted", evidence };
    } else ofConnection.set(conversation, { seq: stored.seq, send });
  }
}

/** S11: what was sent after somebody had seen n has a seq above n. */
export function* afterWhatWasSeen({ messages, logs, seen }: Facts): Generator<Violation> {
  const timelines = new Map<ConversationId, Timeline>();
  for (const { conversation, id, attempts } of messages) {
    const stored = logs.get(conversation)?.byId.get(id);
    if (stored === undefined) continue;
    const timeline = orMake(timelines, conversation, () => new Timeline(seen.get(conversation) ?? new Map()));
    const before = timeline.highestBefore(attempts[0].invokedAt);
    if (before < stored.seq) continue;
    const evidence = { conversation, id, seq: stored.seq, seen: before };
    yield { rule: "S11", text: "a message is stored below what was seen before it was sent", evidence };
  }
}

/** The highest seq that was seen by a moment. */
export class Timeline {
  readonly #moments: readonly { readonly at: number; readonly highest: number }[];

  /** When each seq was first seen. */
  constructor(seen: Iterable<readonly [seq: number, at: number]>) {
    let highest = 0;
    this.#moments = [...seen]
      .sort((a, b) => a[1] - b[1])
      .map(([seq, at]) => {
        highest = Math.max(highest, seq);
        return { at, highest };
      });
  }

  /** 0 where nothing was seen before. */
  highestBefore(moment: number): number {
    let [low, high] = [0, this.#moments.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#moments[middle]?.at ?? 0) < moment) low = middle + 1;
      else high = middle;
    }
    return this.#moments[low - 1]?.highest ?? 0;
  }
}

/** Whether an attempt was refused for good before another one began. */
function refusedBefore({ byKey }: Facts, key: string, { invokedAt }: Operation<"send">): boolean {
  const attempts = byKey.get(key)?.attempts ?? [];
  return attempts.some(
    ({ outcome, invokedAt: at }) => outcome.type === "refused" && !outcome.retryable && at <= invokedAt,
  );
}

function orMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
