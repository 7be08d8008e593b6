/**
 * Messages on their way. A state machine: it is told what was persisted, what the server
 * answered and when the socket comes and goes, and it says what to transmit.
 *
 * - Each conversation is a lane with its own order; lanes never wait for each other.
 * - A message leaves its lane by a receipt, by its own event, or by a refusal for good. Until
 *   then it is transmitted again after every reconnect, with the same id and the same bytes.
 * - After a retryable refusal a lane falls silent until everything it has in flight is
 *   answered, waits (backoff with jitter, or what the server asked for), and goes on from
 *   the refused message: the server refuses what comes after it as `out_of_order` [MSG-5].
 * - Bounds: messages and bytes kept, messages and bytes in flight [MSG-6], frames a second [LIM-3].
 *
 * States of a message: waiting -> in_flight -> (settled | waiting again | renewing | rejected).
 */
import { type ConversationId, LIMITS, type MessageId, timeOfId } from "../protocol/mod.ts";
import { type ErrorFrame, fromErrorFrame, SottoError } from "./sotto_error.ts";
import type { OutgoingMessage } from "./store.ts";
import { backoffMs, type Timing } from "./timing.ts";

/** Limits of the outbox; all lie below the server's own. */
export const OUTBOX_LIMITS = {
  messages: 1_000,
  bytes: 16 * 1024 * 1024,
  inFlight: LIMITS.sendsInFlight - 4,
  inFlightOfLane: 16,
  inFlightBytes: 1024 * 1024,
  framesPerSecond: LIMITS.framesPerSecond * 0.8,
  frameBurst: LIMITS.frameBurst / 2,
  /** How long an answer may take before the socket is held for dead. */
  answerMs: 30_000,
  renewals: 2,
} as const;

const BASE_MS = 100;
const MOST_MS = 10_000;
/** Above this age an id may be refused at any moment, so such messages go one by one, to keep their order. */
const OLD_MS = LIMITS.idWindowMs - 60 * 60 * 1_000;

/** What the outbox makes happen. */
export interface OutboxEffects {
  /** Sends a frame; false when there is no socket. */
  transmit(frame: string): boolean;
  /**
   * The server will never accept this id, and stored nothing [MSG-7]: make the same message
   * under a new id, persist it in the old one's place, and call `renewed` or `reject`.
   */
  renew(message: OutgoingMessage, error: SottoError): void;
  /** The message is refused for good. */
  rejected(message: OutgoingMessage, error: SottoError): void;
  /** A message has waited too long for its answer: the socket is of no use. */
  stuck(): void;
}

interface Entry {
  message: OutgoingMessage;
  state: "waiting" | "in_flight" | "renewing";
  sentAt: number;
  renewals: number;
}

interface Lane {
  /** In the order in which they are to be stored. */
  readonly entries: Entry[];
  /** A refusal stopped the lane: nothing is sent until it is quiet and the pause is over. */
  halted: boolean;
  refusals: number;
  retryAfterMs: number;
  cancelPause: (() => void) | undefined;
}

/** Keeps the messages of one client until they are answered. */
export class Outbox implements Disposable {
  readonly #timing: Timing;
  readonly #effects: OutboxEffects;
  readonly #lanes = new Map<ConversationId, Lane>();
  readonly #laneOf = new Map<MessageId, ConversationId>();
  #connected = false;
  #bytes = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  #tokens: number = OUTBOX_LIMITS.frameBurst;
  #tokensAt = 0;
  #cancelPump: (() => void) | undefined;
  #cancelWatch: (() => void) | undefined;

  constructor(timing: Timing, effects: OutboxEffects) {
    this.#timing = timing;
    this.#effects = effects;
  }

  /** How many messages are not answered. */
  get size(): number {
    return this.#laneOf.size;
  }

  /** Throws `outbox_full` when a message of this many bytes does not fit. */
  assertRoom(bytes: number): void {
    if (this.size < OUTBOX_LIMITS.messages && this.#bytes + bytes <= OUTBOX_LIMITS.bytes) return;
    throw new SottoError("outbox_full", `Wait until messages are answered: ${this.size} wait`, { retryable: true });
  }

  /** Takes a message that the store holds. Within a conversation, in rising order. */
  add(message: OutgoingMessage): void {
    const lane = this.#laneFor(message.conversationId);
    lane.entries.push({ message, state: "waiting", sentAt: 0, renewals: 0 });
    this.#laneOf.set(message.id, message.conversationId);
    this.#bytes += message.frame.length;
    this.#pump();
  }

  /** The socket is authenticated: everything goes out again, from the first of each lane. */
  connected(): void {
    this.#connected = true;
    this.#tokens = OUTBOX_LIMITS.frameBurst;
    this.#tokensAt = this.#timing.now();
    this.#pump();
  }

  /** The socket is gone: what was in flight may be stored or not, and waits again. */
  disconnected(): void {
    this.#connected = false;
    for (const lane of this.#lanes.values()) {
      for (const entry of lane.entries) this.#land(entry);
      lane.cancelPause?.();
      lane.cancelPause = undefined;
      lane.halted = false; // a new socket knows nothing of refusals on the old one
    }
    this.#cancelWatch?.();
    this.#cancelWatch = undefined;
  }

  /** The message is stored, as a receipt or its event says. Gives it, or nothing where it is not known. */
  settle(id: MessageId): OutgoingMessage | undefined {
    const found = this.#find(id);
    if (found === undefined) return undefined;
    found.lane.refusals = 0;
    this.#remove(found.lane, found.entry);
    this.#proceed(found.lane);
    return found.entry.message;
  }

  /** The server refused a message. */
  refused(frame: ErrorFrame & { readonly id: MessageId }): void {
    const found = this.#find(frame.id);
    if (found === undefined || found.entry.state !== "in_flight") return;
    const { lane, entry } = found;
    this.#land(entry);
    if (frame.retryable) this.#halt(lane, frame);
    else if (frame.code === "id_out_of_window" && entry.renewals < OUTBOX_LIMITS.renewals) {
      entry.state = "renewing";
      lane.halted = true;
      this.#effects.renew(entry.message, fromErrorFrame(frame));
    } else {
      this.#remove(lane, entry);
      this.#effects.rejected(entry.message, fromErrorFrame(frame));
    }
    this.#proceed(lane);
  }

  /** The message has a new id and is persisted under it, in the same place. */
  renewed(oldId: MessageId, message: OutgoingMessage): void {
    const found = this.#find(oldId);
    if (found === undefined) return;
    const { lane, entry } = found;
    this.#laneOf.delete(oldId);
    this.#laneOf.set(message.id, message.conversationId);
    this.#bytes += message.frame.length - entry.message.frame.length;
    entry.message = message;
    entry.state = "waiting";
    entry.renewals++;
    this.#proceed(lane);
  }

  /** Gives a message up. */
  reject(id: MessageId, error: SottoError): void {
    const found = this.#find(id);
    if (found === undefined) return;
    this.#remove(found.lane, found.entry);
    this.#effects.rejected(found.entry.message, error);
    this.#proceed(found.lane);
  }

  [Symbol.dispose](): void {
    this.disconnected();
    this.#cancelPump?.();
    this.#cancelPump = undefined;
  }

  #laneFor(conversationId: ConversationId): Lane {
    const known = this.#lanes.get(conversationId);
    if (known !== undefined) return known;
    const lane: Lane = { entries: [], halted: false, refusals: 0, retryAfterMs: 0, cancelPause: undefined };
    this.#lanes.set(conversationId, lane);
    return lane;
  }

  #find(id: MessageId): { lane: Lane; entry: Entry } | undefined {
    const conversationId = this.#laneOf.get(id);
    const lane = conversationId === undefined ? undefined : this.#lanes.get(conversationId);
    const entry = lane?.entries.find((candidate) => candidate.message.id === id);
    return lane === undefined || entry === undefined ? undefined : { lane, entry };
  }

  #remove(lane: Lane, entry: Entry): void {
    this.#land(entry);
    lane.entries.splice(lane.entries.indexOf(entry), 1);
    this.#laneOf.delete(entry.message.id);
    this.#bytes -= entry.message.frame.length;
    if (lane.entries.length === 0) {
      lane.cancelPause?.();
      this.#lanes.delete(entry.message.conversationId);
    }
  }

  #land(entry: Entry): void {
    if (entry.state !== "in_flight") return;
    entry.state = "waiting";
    this.#inFlight--;
    this.#inFlightBytes -= entry.message.frame.length;
  }

  #halt(lane: Lane, frame: ErrorFrame): void {
    lane.halted = true;
    // What follows a refused message is refused for its sake and says nothing new.
    if (frame.code !== "out_of_order") lane.refusals++;
    const asked = frame.details?.retry_after_ms;
    if (typeof asked === "number") lane.retryAfterMs = Math.min(Math.max(lane.retryAfterMs, asked), 60_000);
  }

  /** After an answer: a halted lane that has become quiet begins its pause, and others go on. */
  #proceed(lane: Lane): void {
    const busy = lane.entries.some((entry) => entry.state !== "waiting");
    if (lane.halted && !busy && lane.cancelPause === undefined && lane.entries.length > 0 && this.#connected) {
      const jittered = backoffMs(lane.refusals, this.#timing.random(), BASE_MS, MOST_MS);
      lane.cancelPause = this.#timing.after(lane.retryAfterMs + jittered, () => {
        lane.cancelPause = undefined;
        lane.halted = false;
        lane.retryAfterMs = 0;
        this.#pump();
      });
    }
    this.#pump();
  }

  /** Sends what may be sent, one message of each lane in turn. */
  #pump(): void {
    let progress = this.#connected;
    while (progress) {
      progress = false;
      for (const lane of this.#lanes.values()) {
        const entry = nextOf(lane, this.#timing.now());
        if (entry === undefined || !this.#fits(entry)) continue;
        if (!this.#takeToken()) return this.#pumpLater();
        if (!this.#effects.transmit(entry.message.frame)) return;
        entry.state = "in_flight";
        entry.sentAt = this.#timing.now();
        this.#inFlight++;
        this.#inFlightBytes += entry.message.frame.length;
        progress = true;
      }
    }
    this.#watch();
  }

  #fits(entry: Entry): boolean {
    if (this.#inFlight === 0) return true;
    if (this.#inFlight >= OUTBOX_LIMITS.inFlight) return false;
    return this.#inFlightBytes + entry.message.frame.length <= OUTBOX_LIMITS.inFlightBytes;
  }

  #takeToken(): boolean {
    const now = this.#timing.now();
    const earned = (Math.max(0, now - this.#tokensAt) / 1_000) * OUTBOX_LIMITS.framesPerSecond;
    this.#tokens = Math.min(OUTBOX_LIMITS.frameBurst, this.#tokens + earned);
    this.#tokensAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  #pumpLater(): void {
    this.#cancelPump ??= this.#timing.after(Math.ceil(1_000 / OUTBOX_LIMITS.framesPerSecond), () => {
      this.#cancelPump = undefined;
      this.#pump();
    });
    this.#watch();
  }

  /** One timer watches the oldest message in flight. */
  #watch(): void {
    if (this.#cancelWatch !== undefined || this.#inFlight === 0) return;
    this.#cancelWatch = this.#timing.after(OUTBOX_LIMITS.answerMs, () => {
      this.#cancelWatch = undefined;
      const oldest = Math.min(...this.#sentTimes());
      if (this.#timing.now() - oldest >= OUTBOX_LIMITS.answerMs) this.#effects.stuck();
      else this.#watch();
    });
  }

  *#sentTimes(): Iterable<number> {
    for (const lane of this.#lanes.values()) {
      for (const entry of lane.entries) if (entry.state === "in_flight") yield entry.sentAt;
    }
  }
}

/** The message that a lane may send now. */
function nextOf(lane: Lane, now: number): Entry | undefined {
  if (lane.halted) return undefined;
  const at = lane.entries.findIndex((entry) => entry.state !== "in_flight");
  const entry = lane.entries[at];
  if (entry === undefined || entry.state !== "waiting") return undefined;
  const first = lane.entries[0]?.message ?? entry.message;
  const window = now - timeOfId(first.id) > OLD_MS ? 1 : OUTBOX_LIMITS.inFlightOfLane;
  return at < window ? entry : undefined;
}
