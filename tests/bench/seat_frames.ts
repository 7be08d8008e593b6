/**
 * The frames that a seat sends: their bytes are made once, and only what differs is written anew: an id,
 * a seq. A frame is good until the next one of its kind is made.
 */
import { clientFrame } from "./wire.ts";

/** Stands where {@link writeNewId} writes an id. */
export const NO_ID = "00000000-0000-7000-8000-000000000000";

const HEX = Buffer.from("0123456789abcdef");
const ZERO = 0x30;
const BRACE = 0x7d;
const COUNTER_AT = 28;
const COUNTER_DIGITS = 8;
/** Longest seq: 15 digits are exact in a number. */
const SEQ_DIGITS = 15;
const HEAD_LENGTH = 6;

/** The id that was made last; its mark is of this run. */
const id = Buffer.from(NO_ID);
let idAt = 0;
let idsMade = Math.floor(Math.random() * 0x7fff_ffff);
id.write(
  Math.floor(Math.random() * 0xffff)
    .toString(16)
    .padStart(4, "0"),
  COUNTER_AT - 4,
);

/** A text frame from a client. */
export function textFrame(text: string): Uint8Array {
  return clientFrame(Buffer.from(text));
}

/** Writes a new UUIDv7 (RFC 9562, section 5.7): the time, a mark of this run, a counter. */
export function writeNewId(frame: Uint8Array, at: number): void {
  const now = Date.now();
  if (now !== idAt) writeTime(now);
  idsMade = (idsMade + 1) | 0;
  for (let i = COUNTER_AT + COUNTER_DIGITS - 1, left = idsMade; i >= COUNTER_AT; i--, left >>>= 4) {
    id[i] = HEX[left & 15] ?? 0;
  }
  frame.set(id, at);
}

function writeTime(now: number): void {
  idAt = now;
  const digits = now.toString(16).padStart(12, "0");
  id.write(digits.slice(0, 8), 0);
  id.write(digits.slice(8), 9);
}

/** The acknowledgements of one conversation. */
export class AckFrame {
  readonly #frame: Uint8Array;
  readonly #seqAt: number;

  constructor(conversationId: string) {
    const text = `{"type":"message_ack","conversation_id":"${conversationId}","seq":`;
    this.#seqAt = HEAD_LENGTH + text.length;
    this.#frame = textFrame(text + "0".repeat(SEQ_DIGITS + 1));
  }

  /** The frame that acknowledges up to `seq`. */
  of(seq: number): Uint8Array {
    const frame = this.#frame;
    let end = this.#seqAt;
    for (let left = seq; left >= 1; left = Math.floor(left / 10)) end++;
    frame[end] = BRACE;
    for (let i = end - 1, left = seq; i >= this.#seqAt; i--, left = Math.floor(left / 10))
      frame[i] = ZERO + (left % 10);
    frame[1] = 0x80 | (end + 1 - HEAD_LENGTH);
    return frame.subarray(0, end + 1);
  }
}
