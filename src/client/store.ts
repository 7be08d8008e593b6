/**
 * The store port: where a device keeps what it must not lose. `memory_store.ts` is the one that
 * comes along; an app brings its own (IndexedDB, SQLite) and runs the contract suite in
 * `tests/client/store_contract.ts` on it.
 *
 * The client keeps one rule, **persist before effect**: an entry is committed here before it is
 * acknowledged to the server, and an outgoing message before it is sent. So a device that
 * crashes anywhere sees entries and sends again, and loses none.
 */
import type { AccountId, ConversationId, EventFrame, MessageId, ServerFrame } from "../protocol/mod.ts";

/**
 * What is said to the app and kept: what a conversation's log holds, why some of it will not come, and what another device
 * handed to this one.
 */
export type ClientEntry =
  | EventFrame
  | Extract<ServerFrame, { type: "truncated" | "conversation_left" | "key_exchange" }>;

/** By what an entry is known when it comes again; `null`: it may stand in the store twice. */
export function repetitionKeyOf(entry: ClientEntry): string | null {
  switch (entry.type) {
    case "message":
    case "edit":
      return `${entry.conversation_id} ${entry.id}`;
    case "key_exchange":
      return `${entry.from_user_id} ${entry.id}`;
    default:
      return null;
  }
}

/** An entry with its place in the store. Places rise, with gaps allowed. */
export interface StoredEntry {
  readonly place: number;
  readonly entry: ClientEntry;
}

/** A message that waits for its receipt. */
export interface OutgoingMessage {
  /** The UUIDv7 that was made at the first attempt; every retry repeats it. */
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  /** The whole frame as JSON: a retry sends the same bytes. */
  readonly frame: string;
  /** Rises from message to message; one that got a new id keeps its place. */
  readonly order: number;
  /** True: the content is bound to the id (signed), so it cannot be sent under another. */
  readonly idBound: boolean;
}

/** What one commit changes, all of it or nothing. */
export interface StoreChange {
  /**
   * Entries to add, in order. A `message` or `edit` whose id its conversation holds already is left out:
   * a server that repeats an old ciphertext at a new seq shows it nobody twice, and undoes no edit. So is a
   * `key_exchange` that its sender's id was given before: see {@link repetitionKeyOf}.
   */
  readonly entries?: readonly ClientEntry[];
  /** The highest seq stored of these conversations. */
  readonly cursors?: readonly (readonly [ConversationId, number])[];
  /** Messages to add to the outbox. */
  readonly outgoing?: readonly OutgoingMessage[];
  /** Ids of messages that leave the outbox. */
  readonly settled?: readonly MessageId[];
  /** The place of the last entry that the app has handled. */
  readonly handled?: number;
  /** The number up to which the app was told what the account deleted for itself alone. */
  readonly hidden?: number;
  /** A public key (PEM) to accept for an account from now on, beside those before it. */
  readonly trusted?: { readonly accountId: AccountId; readonly publicKey: string };
}

/** What a client reads when it starts. */
export interface StoredState {
  readonly cursors: ReadonlyMap<ConversationId, number>;
  /** In rising `order`. */
  readonly outgoing: readonly OutgoingMessage[];
  readonly handled: number;
  /** See {@link StoreChange.hidden}; 0 at first. */
  readonly hidden: number;
}

/** What a device keeps. Every call may reject; then the client stops with `store_failed`. */
export interface ClientStore {
  /** Reads the state. */
  load(): Promise<StoredState>;
  /** Applies one change, all of it or nothing; resolves once it would survive a crash. */
  commit(change: StoreChange): Promise<void>;
  /** At most `limit` entries with `place > after`, in rising place. */
  entries(after: number, limit: number): Promise<readonly StoredEntry[]>;
  /** The public keys (PEM) accepted for an account, oldest first; the last one is used to encrypt. */
  trustedKeys(accountId: AccountId): Promise<readonly string[]>;
}
