/**
 * One socket of the load: what it sends, prepared as bytes in which only the id changes, and what it
 * is sent, told apart by the first letters of a frame.
 *
 * It does what the protocol asks of a client: it checks that entries come in order without gaps
 * [RES-2], and acknowledges them every 32 entries or 200 ms, as the SDK does.
 */
import { clientFrame, Wire } from "./wire.ts";

/** Who sits here, and in which conversation. */
export interface SeatPlan {
  /** `null` for a server that asks nobody who they are. */
  readonly token: string | null;
  readonly conversationId: string;
}

/** What a seat's owner is told. */
export interface SeatWatcher {
  /** A receipt came: the oldest send without one is stored. */
  receipt(seat: Seat): void;
  /** An event, a typing frame, or whatever a raw server sent. */
  delivery(seat: Seat): void;
  /** Something that should not happen. */
  fault(text: string): void;
}

const ACK_EVERY = 32;
const TYPE_AT = '{"type":"'.length;
const UUID_LENGTH = 36;
const ID_AT = '{"type":"message","id":"'.length;
const RECEIPT_SEQ_AT =
  '{"type":"receipt","conversation_id":"'.length + UUID_LENGTH + '","id":"'.length + UUID_LENGTH + '","seq":'.length;
const EVENT_SEQ_AT = '{"type":"message","conversation_id":"'.length + UUID_LENGTH + '","seq":'.length;
const HEX = new TextEncoder().encode("0123456789abcdef");
/** What follows the type of an event, so that `message_read` is not taken for one. */
const QUOTE = 0x22;

let idsMade = Math.floor(Math.random() * 0xffff_ffff);
const runMark = Math.floor(Math.random() * 0xffff);

/** See the head of this file. */
export class Seat {
  readonly conversationId: string;
  readonly #watcher: SeatWatcher;
  readonly #message: Uint8Array;
  readonly #typing: Uint8Array;
  #wire: Wire | null = null;
  #caughtUp = Promise.withResolvers<void>();
  /** Sends that wait: of each, when it was meant to go (ms). */
  readonly waiting: number[] = [];
  /** Where `waiting` begins; taking from the front of a long array would move it. */
  answered = 0;
  delivered = 0;
  /** Whether the server speaks the protocol; a raw one numbers nothing. */
  #speaks = true;
  #lastSeq = 0;
  #acked = 0;
  /** Entries that came since the socket opened. */
  entries = 0;
  firstEntryAt = 0;

  /** `size`: characters of content in a message. */
  constructor(plan: SeatPlan, size: number, watcher: SeatWatcher) {
    this.conversationId = plan.conversationId;
    this.#watcher = watcher;
    const id = "00000000-0000-7000-8000-000000000000";
    const content = "Z".repeat(size);
    this.#message = textFrame(
      `{"type":"message","id":"${id}","conversation_id":"${plan.conversationId}","encrypted_content":"${content}"}`,
    );
    this.#typing = textFrame(`{"type":"typing_start","conversation_id":"${plan.conversationId}"}`);
  }

  /** Connects; with `speaks` the server is a Sotto, and it is waited for until it says `caught_up`. */
  async open(url: URL, token: string | null, speaks: boolean): Promise<void> {
    this.#speaks = speaks;
    this.#wire = await Wire.open(url, token, {
      text: (_, bytes, at, end) => this.#text(bytes, at, end),
      closed: (_, reason) => {
        this.#watcher.fault(reason);
        this.#caughtUp.reject(new Error(reason));
      },
    });
    this.#caughtUp.promise.catch(() => {}); // told by `fault`
    if (speaks) await this.#caughtUp.promise;
  }

  /** Sends a message under a new id. */
  sendMessage(): void {
    writeId(this.#message, this.#message.length - this.#payloadLength(this.#message) + ID_AT);
    this.#wire?.write(this.#message);
  }

  /** Says that somebody types. */
  sendTyping(): void {
    this.#wire?.write(this.#typing);
  }

  /** Acknowledges what came, if anything did. */
  acknowledge(): void {
    if (this.#lastSeq <= this.#acked) return;
    this.#acked = this.#lastSeq;
    this.#wire?.send(`{"type":"message_ack","conversation_id":"${this.conversationId}","seq":${this.#acked}}`);
  }

  /** Cuts the connection. */
  end(): void {
    this.#wire?.end();
  }

  #payloadLength(frame: Uint8Array): number {
    const short = (frame[1] ?? 0) & 0x7f;
    return short < 126 ? short : ((frame[2] ?? 0) << 8) | (frame[3] ?? 0);
  }

  #text(bytes: Uint8Array, at: number, end: number): void {
    const first = String.fromCharCode(
      bytes[at + TYPE_AT] ?? 0,
      bytes[at + TYPE_AT + 1] ?? 0,
      bytes[at + TYPE_AT + 2] ?? 0,
    );
    switch (first) {
      case "rec":
        this.#entry(numberAt(bytes, at + RECEIPT_SEQ_AT), inOrder(bytes, end));
        return this.#watcher.receipt(this);
      case "mes":
        if (bytes[at + TYPE_AT + 7] === QUOTE) this.#entry(numberAt(bytes, at + EVENT_SEQ_AT), true);
        return this.#watcher.delivery(this);
      case "mem": // the conversation's first entry
        return this.#entry(seqIn(Buffer.from(bytes.subarray(at, end)).toString()), true);
      case "typ":
        return this.#watcher.delivery(this);
      case "cau":
        return this.#caughtUp.resolve();
      case "wel":
        return;
      default:
        this.#watcher.fault(Buffer.from(bytes.subarray(at, Math.min(end, at + 300))).toString());
    }
  }

  /** Notes an entry; one whose receipt did not stand for it comes later in its place. */
  #entry(seq: number, here: boolean): void {
    if (!here || !this.#speaks || Number.isNaN(seq)) return;
    if (this.entries > 0 && seq !== this.#lastSeq + 1) this.#watcher.fault(`seq ${seq} came after ${this.#lastSeq}`);
    if (this.entries === 0) this.firstEntryAt = performance.now();
    this.entries++;
    this.#lastSeq = seq;
    if (seq - this.#acked >= ACK_EVERY) this.acknowledge();
  }
}

function textFrame(text: string): Uint8Array {
  return clientFrame(new TextEncoder().encode(text));
}

/** `"in_order":true}` ends with "ue}", and false with "se}". */
function inOrder(bytes: Uint8Array, end: number): boolean {
  return bytes[end - 3] === 0x75;
}

function seqIn(text: string): number {
  return Number(/"seq":(\d+)/.exec(text)?.[1]);
}

/** The whole number that begins at `at`; NaN where there is none, as in what a raw server relays. */
function numberAt(bytes: Uint8Array, at: number): number {
  let value = Number.NaN;
  for (let i = at; ; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return value;
    value = (Number.isNaN(value) ? 0 : value * 10) + digit;
  }
}

/** Writes a new UUIDv7: the time, a mark of this run, a counter. */
function writeId(frame: Uint8Array, at: number): void {
  const now = Date.now();
  idsMade = (idsMade + 1) >>> 0;
  writeHex(frame, at, Math.floor(now / 0x1_0000), 8);
  writeHex(frame, at + 9, now % 0x1_0000, 4);
  writeHex(frame, at + 24, runMark, 4);
  writeHex(frame, at + 28, idsMade, 8);
}

function writeHex(frame: Uint8Array, at: number, value: number, digits: number): void {
  for (let i = digits - 1, left = value; i >= 0; i--) {
    frame[at + i] = HEX[left & 15] ?? 0;
    left = Math.floor(left / 16);
  }
}
