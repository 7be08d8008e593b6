/** One socket of a device: what goes over it, each piece written down as it goes or comes. */
import type { ConversationId } from "../../src/protocol/mod.ts";
import type { Closed, Connection, NodeName, Operation } from "../support/history/history.ts";
import type { Frame } from "../support/peer.ts";
import type { Letter } from "./letters.ts";

/** A send without an answer. */
export interface Attempt {
  readonly operation: Operation<"send">;
  /** `null`: a deliberate copy, which is not repeated. */
  readonly letter: Letter | null;
  readonly sentAt: number;
}

/** Bun's socket can also be cut, without a closing handshake. */
export type Socket = WebSocket & { terminate(): void };

const ACK = "ack";
const READ = "read";
const MOST_UNACKNOWLEDGED = 64;

/** See the head of this file. */
export class Link {
  readonly connection: Connection;
  readonly node: NodeName;
  /** Sends without an answer, by their `ref`. */
  readonly attempts = new Map<number, Attempt>();
  /** Resolves once it is over, whoever ended it. */
  readonly over: Promise<void>;
  /** Whether the server has said who it is. */
  welcomed = false;
  /** Whether it was told `caught_up`. */
  live = false;
  /** When something came last (ms). */
  heardAt = performance.now();
  /** Something was refused that may be sent again: not before this (ms). */
  quietUntil = 0;
  readonly socket: Socket;
  /** The highest seq that came on this socket and is not acknowledged. */
  readonly #unacknowledged = new Map<ConversationId, number>();
  /** The highest seqs that were acknowledged and marked as read on this socket. */
  readonly acknowledged = new Map<ConversationId, number>();
  readonly marked = new Map<ConversationId, number>();
  /** The last moment whose round trip is over. */
  settledSince = 0;
  /** Entries since the last acknowledgement. */
  #shown = 0;
  readonly #over = Promise.withResolvers<void>();
  #refs = 0;

  constructor(socket: Socket, connection: Connection) {
    this.socket = socket;
    this.connection = connection;
    this.node = connection.input.node;
    this.over = this.#over.promise;
  }

  /** Sends a message whose operation has begun. */
  attempt(operation: Operation<"send">, letter: Letter | null, content: object): void {
    const { id, conversation } = operation.input;
    const ref = ++this.#refs;
    this.attempts.set(ref, { operation, letter, sentAt: performance.now() });
    this.#send({ type: "message", ref, id, conversation_id: conversation, ...content });
  }

  /** The send that a frame answers; it waits no longer. */
  answered({ ref }: Frame): Attempt | undefined {
    const attempt = this.attempts.get(ref);
    this.attempts.delete(ref);
    return attempt;
  }

  /** Says where the device stands, instead of trusting what the server knows [RES-3]. */
  resume(cursors: ReadonlyMap<ConversationId, number>): void {
    this.connection.note({ type: "resumed", cursors: new Map(cursors) });
    this.#send({ type: "resume", cursors: Object.fromEntries(cursors) });
  }

  /** Says that the person has begun to type. */
  type(conversation: ConversationId): void {
    this.#send({ type: "typing_start", conversation_id: conversation });
  }

  /** Says that the person has read everything up to `seq`. */
  read(conversation: ConversationId, seq: number): void {
    this.connection.note({ type: "read_marked", conversation, seq });
    this.marked.set(conversation, Math.max(seq, this.marked.get(conversation) ?? 0));
    this.#send({ type: "message_read", ref: `${READ} ${conversation} ${seq}`, conversation_id: conversation, seq });
  }

  /** Says that the person is at this device, or away from it. */
  presence(status: "online" | "away"): void {
    this.#send({ type: "presence_update", status });
  }

  /** An entry came on this socket; many of them are acknowledged at once, for the server's window is bounded [ACK-4]. */
  shown(conversation: ConversationId, seq: number): void {
    this.#unacknowledged.set(conversation, seq);
    if (++this.#shown >= MOST_UNACKNOWLEDGED) this.acknowledgeShown();
  }

  /** Acknowledges what came. */
  acknowledgeShown(): void {
    for (const [conversation, seq] of this.#unacknowledged) {
      this.acknowledge(conversation, seq);
      this.acknowledged.set(conversation, seq);
    }
    this.#unacknowledged.clear();
    this.#shown = 0;
  }

  /** Acknowledges up to a seq. */
  acknowledge(conversation: ConversationId, seq: number): void {
    this.connection.note({ type: "acknowledged", conversation, seq });
    const ref = `${ACK} ${conversation} ${seq}`;
    this.#send({ type: "message_ack", ref, conversation_id: conversation, seq });
  }

  /** Whether a refusal is that of an acknowledgement or of a read mark; then it is written down. */
  markRefused({ ref, code }: Frame): boolean {
    const [kind, conversation, seq] = String(ref).split(" ");
    const place = { conversation: conversation as ConversationId, seq: Number(seq) };
    if (kind === ACK) this.connection.note({ type: "acknowledgement_refused", ...place, code });
    else if (kind === READ) {
      this.connection.note({ type: "read_refused", ...place });
      this.marked.delete(place.conversation);
    } else return false;
    return true;
  }

  /** Asks for a sign of life; `since` is the moment by the history's clock. */
  ping(since: number): void {
    this.#send({ type: "ping", ref: String(since) });
  }

  /** A sign of life came. */
  pong({ ref }: Frame): void {
    this.connection.note({ type: "settled", since: Number(ref) });
    this.settledSince = Number(ref);
  }

  /** Whether a send has waited for its answer for longer than that; then it is unknown. */
  gaveUp(longerMs: number): boolean {
    const before = performance.now() - longerMs;
    const late = [...this.attempts.values()].filter(({ sentAt }) => sentAt < before);
    for (const { operation } of late) operation.unknown("timeout");
    return late.length > 0;
  }

  /** It is over; nobody knows what became of what was not answered. */
  end(code: number, by: Closed["by"]): void {
    this.connection.end(code, by);
    for (const { operation } of this.attempts.values()) operation.unknown("cut");
    this.attempts.clear();
    if (by === "client") this.socket.close(1000);
    else if (by === "cut") this.socket.terminate();
    this.#over.resolve();
  }

  #send(frame: object): void {
    this.socket.send(JSON.stringify(frame));
  }
}
