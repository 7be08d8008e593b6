/**
 * The other end of a socket, for tests of the protocol: it shows every frame as it came and
 * does nothing by itself. (The SDK is what real clients use.)
 */
import { type ConversationId, type MessageId, newMessageId } from "../../src/protocol/mod.ts";

/** A frame as it came. */
// biome-ignore lint/suspicious/noExplicitAny: a test expects what the frame should hold.
export type Frame = any;

const DEADLINE_MS = 30_000;

/** See the head of this file. */
export class Peer implements Disposable {
  readonly socket: WebSocket;
  /** Every frame so far. */
  readonly frames: Frame[] = [];
  /** How the socket ended. */
  closed: { readonly code: number; readonly reason: string } | null = null;
  /** Frames before this one were already given by `next`. */
  #read = 0;
  #changed = Promise.withResolvers<void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.onmessage = (event) => {
      this.frames.push(JSON.parse(String(event.data)));
      this.#wake();
    };
    socket.onclose = (event) => {
      this.closed = { code: event.code, reason: event.reason };
      this.#wake();
    };
  }

  /** Opens a socket and waits until it is open; rejects where the upgrade is refused. */
  static async open(url: string, headers: Record<string, string> = {}): Promise<Peer> {
    const socket = new WebSocket(url, { headers } as unknown as string[]);
    const peer = new Peer(socket);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error("The socket was refused"));
    });
    return peer;
  }

  /** Sends a frame; a string goes as it is. */
  send(frame: object | string): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Sends a message and gives its id, without waiting. */
  post(conversationId: ConversationId, text: string, more: object = {}): MessageId {
    const id = newMessageId();
    this.send({ type: "message", id, conversation_id: conversationId, encrypted_content: text, ...more });
    return id;
  }

  /** Sends a message and gives its receipt, or the error. */
  async say(conversationId: ConversationId, text: string, more: object = {}): Promise<Frame> {
    const id = this.post(conversationId, text, more);
    const { id: given } = { id, ...more };
    return this.match((frame) => (frame.type === "receipt" || frame.type === "error") && frame.id === given);
  }

  /** The next frame of a type; frames before it are passed over. */
  next(type: string): Promise<Frame> {
    return this.match((frame) => frame.type === type);
  }

  /** The next frame that fits; frames before it are passed over. */
  async match(fits: (frame: Frame) => boolean): Promise<Frame> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      for (; this.#read < this.frames.length; this.#read++) {
        if (fits(this.frames[this.#read])) return this.frames[this.#read++];
      }
      if (this.closed !== null) throw new Error(`The socket closed: ${this.closed.code} ${this.closed.reason}`);
      await this.#change(deadline);
    }
  }

  /** Waits until what is asked for holds of all frames so far. */
  async until(holds: (frames: readonly Frame[]) => boolean): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!holds(this.frames)) {
      if (this.closed !== null) throw new Error(`The socket closed: ${this.closed.code} ${this.closed.reason}`);
      await this.#change(deadline);
    }
  }

  /** A round trip: when it is over, everything the server sent before it has arrived. */
  async settled(): Promise<void> {
    const ref = crypto.randomUUID();
    this.send({ type: "ping", ref });
    await this.match((frame) => frame.type === "pong" && frame.ref === ref);
  }

  /** The log entries that came of a conversation. */
  entries(conversationId: ConversationId): Frame[] {
    return this.frames.filter(
      (frame) =>
        ["message", "edit", "deletion", "reaction", "membership", "notice", "tombstone"].includes(frame.type) &&
        frame.conversation_id === conversationId,
    );
  }

  /** Acknowledges everything up to a seq. */
  acknowledge(conversationId: ConversationId, seq: number): void {
    this.send({ type: "message_ack", conversation_id: conversationId, seq });
  }

  /** Waits for the end. */
  async ended(): Promise<{ readonly code: number; readonly reason: string }> {
    const deadline = Date.now() + DEADLINE_MS;
    while (this.closed === null) await this.#change(deadline);
    return this.closed;
  }

  /** Closes from this side. */
  async close(): Promise<void> {
    this.socket.close();
    await this.ended();
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #change(deadline: number): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`Nothing came; last frames: ${JSON.stringify(this.frames.slice(-5))}`)),
      Math.max(0, deadline - Date.now()),
    );
    try {
      await Promise.race([this.#changed.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
