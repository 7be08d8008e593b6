/**
 * One socket of the load: what it sends, prepared as bytes in which only the id changes, and what it
 * is sent, told apart by the first letters of a frame.
 *
 * It does what the protocol asks of a client: it checks that entries come in order without gaps
 * [RES-2], and acknowledges them every 32 entries or 200 ms, as the SDK does.
 */
import { AckFrame, NO_ID, textFrame, writeNewId } from "./seat_frames.ts";
import { Wire } from "./wire.ts";

/** Who sits here, and in which conversation. */
export interface SeatPlan {
  /** `null` for a server that asks nobody who they are. */
  readonly token: string | null;
  readonly conversationId: string;
  /** Where it matters who it is. */
  readonly accountId?: string;
}

/** What a seat's owner is told. */
export interface SeatWatcher {
  /** A receipt came: the oldest send without one is stored. `stands`: it stands for the event, which will not come. */
  receipt(seat: Seat, stands: boolean): void;
  /** An event, a typing frame, or whatever a raw server sent. */
  delivery(seat: Seat): void;
  /** Somebody is seen in another way; `of`: the account, as it stands in the frame. */
  presence?(of: string): void;
  /** Something that should not happen. */
  fault(text: string): void;
}

const ACK_EVERY = 32;
const TYPE_AT = '{"type":"'.length;
const UUID_LENGTH = 36;
/** The first four letters of a frame's type, as a number. */
const RECEIPT = lettersOf("rece");
const MESSAGE = lettersOf("mess");
const MEMBERSHIP = lettersOf("memb");
const TYPING = lettersOf("typi");
const CAUGHT_UP = lettersOf("caug");
const PRESENCE = lettersOf("pres");
const WELCOME = lettersOf("welc");
const RECEIPT_SEQ_AT =
  '{"type":"receipt","conversation_id":"'.length + UUID_LENGTH + '","id":"'.length + UUID_LENGTH + '","seq":'.length;
const EVENT_SEQ_AT = '{"type":"message","conversation_id":"'.length + UUID_LENGTH + '","seq":'.length;
const PRESENCE_OF_AT = '{"type":"presence_update","user_id":"'.length;
const SENT_ID_AT = '{"type":"message","id":"'.length;
const AWAY = textFrame(`{"type":"presence_update","status":"away"}`);
const ONLINE = textFrame(`{"type":"presence_update","status":"online"}`);
/** What follows the type of an event, so that `message_read` is not taken for one. */
const QUOTE = 0x22;
/** The first letter behind `message_`, and what it is in `message_delivered`. */
const DELIVERED_AT = 8;
const DELIVERED = 0x64;

/** See the head of this file. */
export class Seat {
  readonly conversationId: string;
  readonly #watcher: SeatWatcher;
  readonly #message: Uint8Array;
  /** Where the id stands in it. */
  readonly #idAt: number;
  readonly #typing: Uint8Array;
  readonly #ack: AckFrame;
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
    const payload = `{"type":"message","id":"${NO_ID}","conversation_id":"${plan.conversationId}","encrypted_content":"${"Z".repeat(size)}"}`;
    this.#message = textFrame(payload);
    this.#idAt = this.#message.length - payload.length + SENT_ID_AT;
    this.#typing = textFrame(`{"type":"typing_start","conversation_id":"${plan.conversationId}"}`);
    this.#ack = new AckFrame(plan.conversationId);
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
    writeNewId(this.#message, this.#idAt);
    this.#wire?.write(this.#message);
  }

  /** Says that somebody types. */
  sendTyping(): void {
    this.#wire?.write(this.#typing);
  }

  /** Says that the person is at this device, or away from it. */
  sendStatus(away: boolean): void {
    this.#wire?.write(away ? AWAY : ONLINE);
  }

  /** Acknowledges what came, if anything did. */
  acknowledge(): void {
    if (this.#lastSeq <= this.#acked) return;
    this.#acked = this.#lastSeq;
    this.#wire?.write(this.#ack.of(this.#acked));
  }

  /** Cuts the connection. */
  end(): void {
    this.#wire?.end();
  }

  #text(bytes: Uint8Array, at: number, end: number): void {
    switch (fourAt(bytes, at + TYPE_AT)) {
      case RECEIPT: {
        const stands = inOrder(bytes, end);
        if (stands) this.#entry(numberAt(bytes, at + RECEIPT_SEQ_AT));
        return this.#watcher.receipt(this, stands);
      }
      case MESSAGE:
        if (bytes[at + TYPE_AT + DELIVERED_AT] === DELIVERED) return; // message_delivered
        if (bytes[at + TYPE_AT + 7] === QUOTE) this.#entry(numberAt(bytes, at + EVENT_SEQ_AT));
        return this.#watcher.delivery(this);
      case MEMBERSHIP: // the conversation's first entry
        return this.#entry(seqIn(Buffer.from(bytes.subarray(at, end)).toString()));
      case TYPING:
        return this.#watcher.delivery(this);
      case PRESENCE: // comes when it comes
        return this.#watcher.presence?.(latin1(bytes, at + PRESENCE_OF_AT, UUID_LENGTH));
      case CAUGHT_UP:
        return this.#caughtUp.resolve();
      case WELCOME:
        return;
      default:
        this.#watcher.fault(Buffer.from(bytes.subarray(at, Math.min(end, at + 300))).toString());
    }
  }

  /** Notes an entry: an event, or a receipt that stands for it; where it does not, the event comes in its place. */
  #entry(seq: number): void {
    if (!this.#speaks) return;
    if (seq < 1 || (this.entries > 0 && seq !== this.#lastSeq + 1))
      this.#watcher.fault(`seq ${seq} came after ${this.#lastSeq}`);
    if (this.entries === 0) this.firstEntryAt = performance.now();
    this.entries++;
    this.#lastSeq = seq;
    if (seq - this.#acked >= ACK_EVERY) this.acknowledge();
  }
}

/** `"in_order":true}` ends with "ue}", and false with "se}". */
function inOrder(bytes: Uint8Array, end: number): boolean {
  return bytes[end - 3] === 0x75;
}

function latin1(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length).toString("latin1");
}

function seqIn(text: string): number {
  return Number(/"seq":(\d+)/.exec(text)?.[1]);
}

/** The whole number that begins at `at`; -1 where there is none, which follows no seq. */
function numberAt(bytes: Uint8Array, at: number): number {
  let value = -1;
  for (let i = at; ; i++) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return value;
    value = (value < 0 ? 0 : value * 10) + digit;
  }
}

function fourAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
}

function lettersOf(text: string): number {
  return fourAt(Buffer.from(text), 0);
}
