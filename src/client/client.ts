/**
 * The SDK's front door.
 *
 * ```ts
 * const keys = await generatePemKeys();
 * await using alice = await SottoClient.signUp("http://localhost:8000", { username: "alice", password, keys });
 * alice.connect();
 * const dm = await alice.api.createConversation({ conversation_type: "dm", participant_ids: [bobId] });
 * await alice.send(dm.id, "Meet me at nine");
 * for await (const event of alice.events()) {
 *   if (event.type === "message") console.log(event.sender_id, event.text);
 * }
 * ```
 * Needs `fetch`, `crypto.subtle` and a `WebSocket`, as browsers, Bun and Node 22 have them. On
 * Node 20 pass one: `openSocket: (url) => new WebSocket(url)` with the package `ws`.
 */
import {
  type AccountId,
  type ConversationId,
  type DeviceId,
  type DeviceStatus,
  LIMITS,
  type MessageId,
} from "../protocol/mod.ts";
import { Api, type HistoryPage, type HistoryQuery, signIn, signUp } from "./api.ts";
import { Changes, type Report } from "./changes.ts";
import type { ClientOptions, Credentials } from "./client_options.ts";
import { type ClientEvent, Composer } from "./composer.ts";
import type { ConnectionStatus } from "./connection.ts";
import { Contacts } from "./contacts.ts";
import { Engine, socketUrlOf } from "./engine.ts";
import type { KeyExchange } from "./exchanges.ts";
import type { HttpOptions } from "./http.ts";
import type { Receipt } from "./intake.ts";
import { observerOf } from "./listeners.ts";
import { MemoryStore } from "./memory_store.ts";
import { type Sendable, type SendOptions, Sends } from "./sends.ts";
import type { Session } from "./session_keeper.ts";
import { SottoError } from "./sotto_error.ts";
import { Statuses } from "./statuses.ts";
import { systemTiming } from "./timing.ts";
import { Typing } from "./typing.ts";

/** A page of a log, in rising order; `next` and `previous` are seqs to go on from, `null` at an end. */
export interface ReadablePage extends Omit<HistoryPage, "messages"> {
  readonly messages: readonly ClientEvent[];
}

const MOST_PREPARING = 1_000;

/**
 * One signed-in device.
 *
 * - Messages of one conversation are stored in the order of the `send` calls, each once.
 * - `events()` gives every entry of every conversation in its order, each once.
 * - Both hold across lost sockets and restarts of the server; across restarts of the app as far as
 *   its `store` outlives them.
 */
export class SottoClient implements AsyncDisposable {
  /** The HTTP API, signed in. */
  readonly api: Api;
  readonly #engine: Engine;
  readonly #composer: Composer;
  readonly #contacts: Contacts;
  readonly #sends: Sends;
  readonly #changes: Changes;
  readonly #statuses: Statuses;
  readonly #typing: Typing;
  /** The last `send` of each conversation that is being prepared: the next one waits for it. */
  readonly #lines = new Map<ConversationId, Promise<unknown>>();
  #preparing = 0;
  #closed = false;

  /** Makes an account, with the public key of `options.keys`, and signs in. */
  static async signUp(url: string, options: Credentials & ClientOptions): Promise<SottoClient> {
    const { username, password, keys } = options;
    const body = { username, password, ...(keys === undefined ? {} : { public_key: keys.publicKey }) };
    return SottoClient.resume(url, await signUp(httpOptions(url, options), body), options);
  }

  /**
   * Signs in. With `deviceId` the server goes on where that device was; its `store` must be the same too.
   * With `deviceToken`, from an earlier session, strangers who try the password cannot lock the device out.
   */
  static async signIn(
    url: string,
    options: Credentials & ClientOptions & { readonly deviceId?: DeviceId; readonly deviceToken?: string },
  ): Promise<SottoClient> {
    const { username, password, deviceId, deviceToken } = options;
    const device = {
      ...(deviceId === undefined ? {} : { device_id: deviceId }),
      ...(deviceToken === undefined ? {} : { device_token: deviceToken }),
    };
    const body = { username, password, ...device };
    return SottoClient.resume(url, await signIn(httpOptions(url, options), body), options);
  }

  /** Goes on with a session that `onSession` or `session` gave. */
  static async resume(url: string, session: Session, options: ClientOptions = {}): Promise<SottoClient> {
    const http = httpOptions(url, options);
    const api = new Api(http, session, options.onSession);
    const store = options.store ?? new MemoryStore();
    const contacts = new Contacts(api, store, http.timing);
    const composer = new Composer(api, contacts, options.keys);
    const sends = new Sends(composer, http.timing);
    const tell = (call: () => void) => queueMicrotask(call);
    const typing = new Typing(http.timing, (signal) => tell(() => options.onSignal?.(signal)));
    const statuses = new Statuses({
      self: () => api.tokens.session.userId,
      conversation: (id) => composer.conversation(id),
      page: async (id, after) => (await api.history(id, { after_seq: after, limit: LIMITS.pageEvents })).messages,
      tell: (update) => tell(() => options.onMessageStatus?.(update)),
    });
    const network = browserNetwork();
    const engine = await Engine.open(
      {
        socketUrl: socketUrlOf(url),
        openSocket: options.openSocket ?? openGlobalSocket,
        timing: http.timing,
        api,
        store,
        ...(network === undefined ? {} : { network }),
      },
      observerOf(options, { sends, composer, statuses, typing }),
    );
    await options.onSession?.(session);
    return new SottoClient({
      api,
      engine,
      composer,
      contacts,
      sends,
      statuses,
      typing,
      changes: new Changes(api, composer, http.timing),
    });
  }

  private constructor(parts: {
    readonly api: Api;
    readonly engine: Engine;
    readonly composer: Composer;
    readonly contacts: Contacts;
    readonly sends: Sends;
    readonly changes: Changes;
    readonly statuses: Statuses;
    readonly typing: Typing;
  }) {
    this.api = parts.api;
    this.#engine = parts.engine;
    this.#composer = parts.composer;
    this.#contacts = parts.contacts;
    this.#sends = parts.sends;
    this.#changes = parts.changes;
    this.#statuses = parts.statuses;
    this.#typing = parts.typing;
  }

  /** The tokens as they are now; they are secrets. */
  get session(): Session {
    return this.api.tokens.session;
  }

  /** How the connection is. */
  get status(): ConnectionStatus {
    return this.#engine.status;
  }

  /** Begins to connect, and stays connected; `status` and `onStatus` tell how it goes. */
  connect(): void {
    this.#engine.start();
  }

  /**
   * Sends a message, also while there is no connection: it is kept until the server has answered.
   * Resolves with the receipt after the server has committed it. Rejects with a {@link SottoError}
   * when it is refused for good, when the outbox is full, and with `closed` or `stopped` where
   * nobody waits for the answer any more (the store then still holds the message).
   */
  send(conversationId: ConversationId, content: Sendable, options: SendOptions = {}): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      if (this.#preparing >= MOST_PREPARING) throw outboxFull(this.#preparing);
      this.#preparing++;
      const before = this.#lines.get(conversationId) ?? Promise.resolve();
      const prepared: Promise<void> = before
        .then(() => this.#prepare(conversationId, content, { ...options, resolve, reject }))
        .catch(reject)
        .finally(() => {
          this.#preparing--;
          if (this.#lines.get(conversationId) === prepared) this.#lines.delete(conversationId);
        });
      this.#lines.set(conversationId, prepared);
    });
  }

  /**
   * Every entry of every conversation, from where the last loop ended, and then as they come. Ends
   * with `close()`; throws `stopped` when the session has ended. One loop at a time; who leaves it has
   * handled the entry that was given last.
   */
  async *events(): AsyncGenerator<ClientEvent, void, undefined> {
    for await (const entry of this.#engine.reader.entries()) yield await this.#composer.read(entry);
  }

  /**
   * Gives a message of one's own another text. Like the calls below it is repeated until it is answered, is not kept
   * across a restart, and rejects with a {@link SottoError}: `gone` where the message was deleted or has expired,
   * `message_not_found` also while it still waits in the outbox. Everybody gets an `edit` entry, also the caller.
   */
  edit(conversationId: ConversationId, messageId: MessageId, text: string): Promise<void> {
    return this.#changes.edit(conversationId, messageId, text);
  }

  /** Reacts to a message with one emoji; again is the same. */
  react(_conversationId: ConversationId, messageId: MessageId, emoji: string): Promise<void> {
    return this.#changes.react(messageId, emoji, "added");
  }

  /** Takes a reaction back; again is the same. */
  unreact(_conversationId: ConversationId, messageId: MessageId, emoji: string): Promise<void> {
    return this.#changes.react(messageId, emoji, "removed");
  }

  /** Deletes a message for everybody: one's own, or as owner or admin. */
  deleteForAll(_conversationId: ConversationId, messageId: MessageId): Promise<void> {
    return this.#changes.remove(messageId, "all");
  }

  /** Deletes a message for this account alone, on all its devices. */
  deleteForMe(_conversationId: ConversationId, messageId: MessageId): Promise<void> {
    return this.#changes.remove(messageId, "me");
  }

  /**
   * Reports somebody to the administrators of the server, with the messages that the person chose, as this device
   * reads them. Whoever is reported is not told. Repeated until it is answered, and stored once.
   */
  report(report: Report): Promise<void> {
    return this.#changes.report(report);
  }

  /**
   * Hands something to the devices of somebody, or to one of them, as a key under which more is to come: each gets it
   * once, from `events()` as `key_exchange`, though it be away now. Encrypt it first. Repeated until it is answered, and
   * not kept across a restart. Rejects with a {@link SottoError}: `user_not_found` where they are signed in nowhere.
   */
  async keyExchange(exchange: KeyExchange): Promise<void> {
    this.#assertOpen();
    await this.#engine.handOver(exchange);
  }

  /** A page of a conversation's log as people read it; see {@link Api.history} for the query. */
  async history(conversationId: ConversationId, query: HistoryQuery = {}): Promise<ReadablePage> {
    const page = await this.api.history(conversationId, query);
    const messages: ClientEvent[] = [];
    for (const entry of page.messages) messages.push(await this.#composer.read(entry));
    return { ...page, messages };
  }

  /** Says that the person has read everything up to `seq`. False when there is no connection. */
  markRead(conversationId: ConversationId, seq: number): boolean {
    return this.#engine.send({ type: "message_read", conversation_id: conversationId, seq });
  }

  /**
   * Says that the person types, or has ceased to. It may be lost. Call it with every key: it goes out once in three
   * seconds, and where nothing is heard for six the others take it for ended. False when there is no connection.
   */
  typing(conversationId: ConversationId, isTyping: boolean): boolean {
    if (!this.#typing.shouldSay(conversationId, isTyping)) return this.status.state === "live";
    return this.#engine.send({ type: isTyping ? "typing_start" : "typing_stop", conversation_id: conversationId });
  }

  /**
   * Says that the person is at this device, or away from it: who is away from all their devices is seen as `away`.
   * Say it again after each connection. False when there is no connection.
   */
  setDeviceStatus(status: DeviceStatus): boolean {
    return this.#engine.send({ type: "presence_update", status });
  }

  /** Accepts an account's new key after its fingerprint was compared; see `key_changed`. */
  trustKey(userId: AccountId, fingerprint: string): Promise<void> {
    return this.#contacts.trust(userId, fingerprint);
  }

  /** Acknowledges what is stored and ends. The session lives on: `resume` goes on with it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#typing[Symbol.dispose]();
    await this.#engine[Symbol.asyncDispose]();
    this.#sends.abandon(new SottoError("closed", "Open a new client: this one was closed"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #prepare(
    conversationId: ConversationId,
    content: Sendable,
    options: SendOptions & { resolve(receipt: Receipt): void; reject(error: unknown): void },
  ): Promise<void> {
    this.#assertOpen();
    const message = await this.#sends.make(conversationId, content, options);
    this.#assertOpen();
    const { resolve, reject } = options;
    this.#sends.expect(message.id, { resolve, reject, content, renewedFrom: null });
    this.#statuses.sending(conversationId, message.id);
    // Not stored, not sent: who waits hears why.
    await this.#engine.enqueue(message).catch((error: unknown) => {
      this.#statuses.failed(message.id);
      this.#sends.refused(message.id, error);
    });
  }

  #assertOpen(): void {
    if (this.#closed) throw new SottoError("closed", "Open a new client: this one was closed");
    if (this.status.state === "stopped") throw new SottoError("stopped", "Sign in again: the session has ended");
  }
}

function outboxFull(count: number): SottoError {
  return new SottoError("outbox_full", `Wait until messages are answered: ${count} wait`, { retryable: true });
}

function httpOptions(url: string, options: ClientOptions): HttpOptions {
  return {
    url,
    fetch: options.fetch ?? ((address, init) => fetch(address, init)),
    timing: options.timing ?? systemTiming,
    deadlineMs: options.deadlineMs ?? 10_000,
  };
}

function openGlobalSocket(url: string): WebSocket {
  if (typeof WebSocket === "undefined") {
    throw new SottoError("stopped", "Pass openSocket: this runtime has no WebSocket (Node before 22)");
  }
  return new WebSocket(url);
}

/** Browsers say when the network comes back; elsewhere nobody does. */
function browserNetwork(): Pick<EventTarget, "addEventListener" | "removeEventListener"> | undefined {
  return typeof document !== "undefined" && typeof addEventListener === "function" ? globalThis : undefined;
}
