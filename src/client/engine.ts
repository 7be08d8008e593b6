/**
 * Ties connection, outbox, sync and store together. One item is worked on at a time: frames,
 * pages, and the socket's coming and going wait in one inbox, so that what an old socket said
 * is never mistaken for the new one's.
 *
 *   connection -> inbox -> planFrame (sync, outbox) -> store.commit -> effects, acknowledgements
 *
 * - Nothing is acknowledged before the store holds it, nothing is sent before the store holds it.
 * - When the store fails everything stops, with `store_failed`.
 */
import { type EventFrame, LIMITS, type ServerFrame, type WelcomeFrame } from "../protocol/mod.ts";
import type { Api } from "./api.ts";
import { Connection, type ConnectionStatus, type OpenSocket } from "./connection.ts";
import { EntryReader } from "./entry_reader.ts";
import { Exchanges, type KeyExchange } from "./exchanges.ts";
import { Hidden } from "./hidden.ts";
import { changeOf, emptyStep, planFrame, planPage, type Receipt, type Signal, type Step } from "./intake.ts";
import { Outbox } from "./outbox.ts";
import { SottoError } from "./sotto_error.ts";
import type { ClientEntry, ClientStore, OutgoingMessage } from "./store.ts";
import { type PageRepair, Sync } from "./sync.ts";
import type { Timing } from "./timing.ts";

/** Whom the engine tells; a throw in one of these is the app's own and is not caught. */
export interface EngineObserver {
  onStatus(status: ConnectionStatus): void;
  onSignal(signal: Signal): void;
  onReceipt(receipt: Receipt): void;
  onRejected(message: OutgoingMessage, error: SottoError): void;
  /** A refusal that answers no message, as `ack_ahead`: worth a line in a log. */
  onProblem(error: SottoError): void;
  /** Entries that are stored now. */
  onEntries(entries: readonly ClientEntry[]): void;
  /** Makes a refused message anew under another id; `undefined` where its content is not at hand. */
  renew(message: OutgoingMessage): Promise<OutgoingMessage | undefined>;
}

/** What the engine needs. */
export interface EngineOptions {
  readonly socketUrl: string;
  readonly openSocket: OpenSocket;
  readonly timing: Timing;
  readonly api: Api;
  readonly store: ClientStore;
  readonly network?: Pick<EventTarget, "addEventListener" | "removeEventListener">;
}

type Item =
  | { readonly kind: "up" | "down"; readonly socket: number }
  | { readonly kind: "frame"; readonly frame: ServerFrame }
  | { readonly kind: "page"; readonly page: readonly EventFrame[] }
  | { readonly kind: "repaired"; readonly repair: PageRepair; readonly ours: boolean };

const BATCH = 128;
const MOST_WAITING = 2_000;
const ACK_EVERY = 32;
const ACK_AFTER_MS = 200;

/** Runs one device's connection. */
export class Engine implements AsyncDisposable {
  readonly #options: EngineOptions;
  readonly #observer: EngineObserver;
  readonly #sync: Sync;
  readonly #outbox: Outbox;
  readonly #connection: Connection;
  readonly #hidden: Hidden;
  readonly #exchanges: Exchanges;
  readonly reader: EntryReader;
  #inbox: Item[] = [];
  #working: Promise<void> | undefined;
  /** The socket that is there, and the one that the inbox has come to. */
  #socket = 0;
  #reached = 0;
  #unacknowledged = 0;
  /** Up to where this device's inbox came on this socket and is not acknowledged; 0: nothing is. */
  #inboxSeq = 0;
  #cancelAck: (() => void) | undefined;
  #nextOrder: number;
  #ended = false;

  /** Reads the store and gives an engine that has not connected yet. */
  static async open(options: EngineOptions, observer: EngineObserver): Promise<Engine> {
    const state = await options.store.load();
    return new Engine(options, observer, state);
  }

  private constructor(
    options: EngineOptions,
    observer: EngineObserver,
    state: Awaited<ReturnType<ClientStore["load"]>>,
  ) {
    this.#options = options;
    this.#observer = observer;
    this.#sync = new Sync(state.cursors);
    this.#outbox = new Outbox(options.timing, {
      transmit: (frame) => this.#transmit(frame),
      renew: (message, error) => void this.#renew(message, error),
      rejected: (message, error) => void this.#reject(message, error),
      stuck: () => this.#connection.reconnect("unanswered"),
    });
    this.#exchanges = new Exchanges(options.timing, (frame) => this.#transmit(frame));
    this.#connection = new Connection({
      url: options.socketUrl,
      openSocket: options.openSocket,
      timing: options.timing,
      ...(options.network === undefined ? {} : { network: options.network }),
      token: (fresh) => this.#token(fresh),
      onWelcome: (frame) => this.#welcomed(frame),
      onFrame: (frame) => this.#take({ kind: "frame", frame }),
      onDown: () => this.#down(),
      onStatus: (status) => this.#status(status),
    });
    this.#hidden = new Hidden({
      ...{ timing: options.timing, number: state.hidden },
      page: (after) => options.api.hiddenMessages(after),
      keep: (hidden) => options.store.commit({ hidden }),
      tell: (signal) => observer.onSignal(signal),
    });
    this.reader = new EntryReader(options.store, state.handled, () => this.#acknowledge());
    for (const message of state.outgoing) this.#outbox.add(message);
    this.#nextOrder = (state.outgoing.at(-1)?.order ?? 0) + 1;
  }

  /** How the connection is. */
  get status(): ConnectionStatus {
    return this.#connection.status;
  }

  /** Begins to connect. */
  start(): void {
    this.#connection.start();
  }

  /** Stores a message, then sends it as soon as there is a socket. Resolves when it is stored. */
  async enqueue(message: Omit<OutgoingMessage, "order">): Promise<void> {
    this.#outbox.assertRoom(message.frame.length);
    const ordered = { ...message, order: this.#nextOrder++ };
    await this.#options.store.commit({ outgoing: [ordered] }).catch((cause: unknown) => {
      throw this.#failed(cause);
    });
    this.#outbox.add(ordered);
  }

  /** Hands something to somebody's devices; see {@link Exchanges}. */
  handOver(exchange: KeyExchange): Promise<void> {
    return this.#exchanges.handOver(exchange);
  }

  /** Sends a frame that may be lost; false when there is no socket. */
  send(frame: object): boolean {
    return this.#transmit(JSON.stringify(frame));
  }

  /** Acknowledges what is stored, closes the socket, and ends the reader. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    await this.#working;
    this.#acknowledge();
    this.#ended = true;
    this.#connection.stop({ code: "closed" });
    this.#cancelAck?.();
    this.#outbox[Symbol.dispose]();
    await this.#working;
    this.reader.end();
  }

  async #token(fresh: boolean): Promise<string> {
    const { tokens } = this.#options.api;
    return fresh ? tokens.refresh() : tokens.token();
  }

  #status(status: ConnectionStatus): void {
    if (status.state === "stopped" && status.reason.code === "closed") {
      this.#exchanges.abandon(new SottoError("closed", "Open a new client: this one was closed"));
    } else if (status.state === "stopped") {
      const message = `Sign in again: the session has ended (${status.reason.code})`;
      const error = new SottoError("stopped", message, { cause: status.reason.cause, details: { ...status.reason } });
      this.#exchanges.abandon(error);
      this.reader.end(error);
    }
    if (status.state === "live") this.#hidden.refresh();
    this.#observer.onStatus(status);
  }

  #welcomed(_frame: WelcomeFrame): void {
    this.#take({ kind: "up", socket: ++this.#socket });
  }

  #down(): void {
    this.#take({ kind: "down", socket: ++this.#socket });
  }

  #transmit(frame: string): boolean {
    return this.#reached === this.#socket && this.#connection.send(frame);
  }

  #take(item: Item): void {
    if (this.#ended) return;
    this.#inbox.push(item);
    // The server's window bounds what it may send; who ignores that is no server of this protocol.
    if (item.kind === "frame" && this.#inbox.length > MOST_WAITING) this.#connection.reconnect("flooded");
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    try {
      while (this.#inbox.length > 0) {
        const step = emptyStep();
        for (const item of this.#inbox.splice(0, BATCH)) this.#plan(item, step);
        const change = changeOf(step);
        if (change !== undefined) await this.#options.store.commit(change);
        this.#finish(step);
      }
    } catch (cause) {
      this.#failed(cause);
    }
  }

  #plan(item: Item, step: Step): void {
    const self = this.#options.api.tokens.session.userId;
    const intake = { sync: this.#sync, outbox: this.#outbox, exchanges: this.#exchanges, self };
    switch (item.kind) {
      case "frame":
        return planFrame(intake, item.frame, step);
      case "page":
        return planPage(intake, item.page, step);
      case "repaired":
        if (!this.#sync.repaired(item.repair.conversationId) && item.ours) this.#connection.reconnect("gap");
        return;
      case "up":
        this.#reached = item.socket;
        this.#sync.restart();
        this.#resume();
        // What came on the socket before comes again on this one, where it was not acknowledged.
        this.#inboxSeq = 0;
        step.inboxSeq = 0;
        this.#exchanges.connected();
        return this.#outbox.connected();
      case "down":
        this.#reached = item.socket;
        this.#exchanges.disconnected();
        return this.#outbox.disconnected();
    }
  }

  /** What follows once the step is persisted. */
  #finish(step: Step): void {
    for (const [conversationId, seq] of step.cursors) this.#sync.stored(conversationId, seq);
    if (step.restarted) this.#connection.catchUp();
    if (step.entries.length > 0) {
      this.#observer.onEntries(step.entries);
      this.reader.added(step.entries.length);
    }
    for (const receipt of step.receipts) this.#observer.onReceipt(receipt);
    for (const signal of step.signals) {
      if (signal.type === "message_hidden") this.#hidden.heard(signal);
      else this.#observer.onSignal(signal);
    }
    for (const problem of step.problems) this.#observer.onProblem(problem);
    const repairs = this.#sync.repairs(step.caughtUp);
    if (repairs.resume) this.#resume();
    for (const repair of repairs.pages) void this.#repairByPages(repair);
    this.#unacknowledged += step.entries.length;
    this.#inboxSeq = Math.max(this.#inboxSeq, step.inboxSeq);
    if (this.#unacknowledged >= ACK_EVERY) this.#acknowledge();
    else if ((this.#sync.acknowledgeable > 0 || this.#inboxSeq > 0) && !this.#ended) {
      this.#cancelAck ??= this.#options.timing.after(ACK_AFTER_MS, () => this.#acknowledge());
    }
  }

  #acknowledge(): void {
    this.#cancelAck?.();
    this.#cancelAck = undefined;
    if (this.#ended || this.#reached !== this.#socket || this.reader.isBehind) return;
    if (this.#connection.status.state !== "live" && this.#connection.status.state !== "catching_up") return;
    this.#unacknowledged = 0;
    for (const { conversationId, seq } of this.#sync.acknowledge()) {
      this.send({ type: "message_ack", conversation_id: conversationId, seq });
    }
    if (this.#inboxSeq > 0 && this.send({ type: "key_exchange_ack", seq: this.#inboxSeq })) this.#inboxSeq = 0;
  }

  /** Tells the server where this device stands; a device that has nothing goes by the server's cursors. */
  #resume(): void {
    const cursors = this.#sync.resumeCursors();
    if (Object.keys(cursors).length > 0 && this.send({ type: "resume", cursors })) this.#connection.catchUp();
  }

  async #repairByPages(repair: PageRepair): Promise<void> {
    const { conversationId } = repair;
    const socket = this.#socket;
    try {
      for (let after = repair.after; ; ) {
        const page = await this.#options.api.history(conversationId, { after_seq: after, limit: LIMITS.pageEvents });
        if (socket !== this.#socket) return; // a new socket resumes from the cursors anyway
        this.#take({ kind: "page", page: page.messages });
        after = page.messages.at(-1)?.seq ?? after;
        if (page.next === null || page.messages.length === 0) break;
      }
      this.#take({ kind: "repaired", repair, ours: true });
    } catch (error) {
      if (error instanceof SottoError && error.retryable) return this.#connection.reconnect("gap");
      // The conversation is not ours any more: nothing of it is missing.
      this.#take({ kind: "repaired", repair, ours: false });
    }
  }

  async #renew(message: OutgoingMessage, error: SottoError): Promise<void> {
    try {
      const renewed = await this.#observer.renew(message);
      if (renewed === undefined) return this.#outbox.reject(message.id, error);
      await this.#options.store.commit({ settled: [message.id], outgoing: [renewed] });
      this.#outbox.renewed(message.id, renewed);
    } catch (cause) {
      if (cause instanceof SottoError) this.#outbox.reject(message.id, cause);
      else this.#failed(cause);
    }
  }

  async #reject(message: OutgoingMessage, error: SottoError): Promise<void> {
    try {
      await this.#options.store.commit({ settled: [message.id] });
    } catch (cause) {
      this.#failed(cause);
    }
    this.#observer.onRejected(message, error);
  }

  #failed(cause: unknown): SottoError {
    const error = new SottoError("store_failed", "Check the device's storage: nothing more is sent or received", {
      cause,
    });
    this.#connection.stop({ code: error.code, cause: error });
    return error;
  }
}

/** The address of the socket for a server's address. */
export function socketUrlOf(url: string): string {
  return `${url.replace(/^http/, "ws").replace(/\/+$/, "")}/ws`;
}
