/**
 * The two frames that nearly all traffic consists of, checked by hand: `message` and `message_ack`. What
 * is not plainly right is left to the schemas, which alone refuse. So nothing passes here that they would
 * not let pass, and in the same shape; a test holds the two against each other.
 */
import { MessageType } from "./content.ts";
import type { ClientFrame } from "./frames.ts";
import { UUID } from "./ids.ts";
import { LIMITS } from "./limits.ts";

type Check = (value: unknown) => boolean;
/** A check for every field there is: a field that is new in a schema is missed here by the compiler. */
type Checks<Type extends ClientFrame["type"]> = Readonly<
  Record<keyof Extract<ClientFrame, { readonly type: Type }>, Check>
>;

const isAny: Check = () => true;
const isUuid: Check = (value) => typeof value === "string" && UUID.test(value);
const isMessageId: Check = (value) => typeof value === "string" && value[14] === "7" && UUID.test(value);
const isSeq: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isShort = isText(0, 64);
const isRef: Check = (value) => Number.isSafeInteger(value) || isShort(value);

const MESSAGE: Checks<"message"> = {
  type: isAny,
  ref: isRef,
  id: isMessageId,
  conversation_id: isUuid,
  message_type: (value) => MessageType.options.some((option) => option === value),
  content: isText(1, LIMITS.contentChars),
  encrypted_content: isText(1, LIMITS.contentChars),
  encryption_iv: isText(1, 256),
  reply_to: isMessageId,
  expires_in: (value) => isSeq(value) && value !== 0 && (value as number) <= LIMITS.expirySeconds,
};
const MESSAGE_ACK: Checks<"message_ack"> = { type: isAny, ref: isRef, conversation_id: isUuid, seq: isSeq };
// Maps, because an object knows `constructor` and the like too.
const MESSAGE_CHECKS: ReadonlyMap<string, Check> = new Map(Object.entries(MESSAGE));
const MESSAGE_ACK_CHECKS: ReadonlyMap<string, Check> = new Map(Object.entries(MESSAGE_ACK));

/** The frame that a parsed object plainly is, with its defaults written into it; else `undefined`. */
export function quickFrame(value: Record<string, unknown>): ClientFrame | undefined {
  switch (value.type) {
    case "message":
      if (value.id === undefined || value.conversation_id === undefined) return undefined;
      if (!passes(MESSAGE_CHECKS, value)) return undefined;
      value.message_type ??= "text";
      return value as ClientFrame;
    case "message_ack":
      if (value.conversation_id === undefined || value.seq === undefined) return undefined;
      return passes(MESSAGE_ACK_CHECKS, value) ? (value as ClientFrame) : undefined;
    default:
      return undefined;
  }
}

/** Whether every field is known and right. */
function passes(checks: ReadonlyMap<string, Check>, value: Record<string, unknown>): boolean {
  for (const field in value) if (checks.get(field)?.(value[field]) !== true) return false;
  return true;
}

/** The schemas count code points; so a text that is too long by its UTF-16 units is theirs to judge. */
function isText(least: number, most: number): Check {
  return (value) => typeof value === "string" && value.length >= least && value.length <= most;
}
