/**
 * What travels through Redis between nodes: a line of JSON, and behind it the frames that its hints
 * carry, one after the other. A frame is JSON already; within the line each of its quotes would be
 * escaped by one node and read again by the other.
 *
 * A message is bounded: hints are spread over as many as they need, and an event too large to be
 * copied to every node goes as a doorbell, which makes its receivers read the log.
 */
import type { Hint, NodeId } from "./bus.ts";

/** Hints to one node, with the number of this message from that source to that node. */
export interface HintsMessage {
  readonly from: NodeId;
  /** 1, 2, 3 … for each pair of source and receiver. */
  readonly number: number;
  readonly hints: readonly Hint[];
}

/** What a node says of itself to all, once a second. */
export interface Beat {
  readonly from: NodeId;
  /** How many messages it has sent to each node; a node that is not named was sent none. */
  readonly sent: Readonly<Record<NodeId, number>>;
  /** It ends in order, and has told everything it had to tell. */
  readonly last?: true;
}

/** Characters of an event that is still copied. */
const MOST_EVENT_LENGTH = 32 * 1024;
/** Characters of one message, about. */
const MOST_MESSAGE_LENGTH = 256 * 1024;
/** Characters that a hint needs beside its text and for each receiver: a UUID and what goes around it. */
const HINT_LENGTH = 200;
const RECEIVER_LENGTH = 40;

/** Splits hints into messages of bounded size, in their order. */
export function splitHints(hints: readonly Hint[]): Hint[][] {
  const messages: Hint[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const hint of hints.map(withoutLargeText)) {
    const more = HINT_LENGTH + hint.to.length * RECEIVER_LENGTH + ("text" in hint ? hint.text.length : 0);
    if (length + more > MOST_MESSAGE_LENGTH) {
      messages.push([]);
      length = 0;
    }
    messages.at(-1)?.push(hint);
    length += more;
  }
  return messages;
}

function withoutLargeText(hint: Hint): Hint {
  if (hint.type !== "event" || hint.text.length <= MOST_EVENT_LENGTH) return hint;
  const { to, conversationId, seq, members } = hint;
  return { type: "doorbell", to, conversationId, seq, ...(members === undefined ? {} : { members }) };
}

/** A hint within the line: `length` characters behind it are its text. */
type Carried<Of extends Hint = Hint> = Of extends { readonly text: string }
  ? Omit<Of, "text"> & { readonly length: number }
  : Of;

/** Writes a message. */
export function encodeBusMessage(message: HintsMessage | Beat): string {
  if (!("hints" in message)) return JSON.stringify(message);
  let texts = "";
  const hints = message.hints.map((hint): Carried => {
    if (!("text" in hint)) return hint;
    texts += hint.text;
    const { text, ...rest } = hint;
    return { ...rest, length: text.length };
  });
  return `${JSON.stringify({ from: message.from, number: message.number, hints })}\n${texts}`;
}

/** Reads what {@link encodeBusMessage} wrote; `null` for anything else, which a newer release may have sent. */
export function decodeBusMessage(text: string): HintsMessage | Beat | null {
  const end = text.indexOf("\n"); // JSON in one line has none
  const value = parsed(end < 0 ? text : text.slice(0, end));
  if (typeof value !== "object" || value === null || !("from" in value) || typeof value.from !== "string") return null;
  if ("sent" in value && typeof value.sent === "object" && value.sent !== null) return value as Beat;
  if (end < 0 || !("hints" in value && Array.isArray(value.hints) && "number" in value)) return null;
  const { from, number, hints } = value as Omit<HintsMessage, "hints"> & { readonly hints: readonly Carried[] };
  let at = end + 1;
  const whole = hints.map((hint): Hint => {
    if (!("length" in hint)) return hint;
    const { length, ...rest } = hint;
    at += length;
    return { ...rest, text: text.slice(at - length, at) };
  });
  return at === text.length ? { from, number, hints: whole } : null;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
