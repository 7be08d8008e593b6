/**
 * The SDK. It owns one device's connection, outbox and cursors, and the encryption of what it sends.
 *
 * Reading order: `client.ts` (the front door) -> `engine.ts` (one inbox, persist before effect) ->
 * `connection.ts` (the socket) , `intake.ts` (what frames mean), `sync.ts` (cursors), `outbox.ts`
 * (sending), `exchanges.ts` (handing keys to other devices), `entry_reader.ts` (reading), `hidden.ts` (what was deleted for oneself) ; `store.ts` (the port) ; `composer.ts`, `changes.ts`, `contacts.ts`,
 * `pem_encryption.ts` (end-to-end encryption) ; `room.ts` (the public room) ; `api.ts`, `session_keeper.ts`, `http.ts`.
 *
 * Invariants: an entry is stored before it is acknowledged, a message before it is sent; a message
 * keeps its id and bytes until it is answered; only the next seq is taken.
 *
 * It imports `protocol/`, `jose` and `zod`, and uses web-standard APIs only, so it runs in
 * browsers, Bun and Node.
 */
export {
  Api,
  type Conversation,
  type ConversationPage,
  type HistoryPage,
  type HistoryQuery,
  type Me,
  type Participant,
  type PublicKey,
  type RoomMessage,
  type User,
} from "./api.ts";
export type { Report } from "./changes.ts";
export { type ReadablePage, SottoClient } from "./client.ts";
export type { ClientOptions, Credentials } from "./client_options.ts";
export type { ClientEvent, ReadableEdit, ReadableMessage } from "./composer.ts";
export type { ConnectionStatus, OpenSocket, SocketLike, StopReason } from "./connection.ts";
export type { KeyExchange } from "./exchanges.ts";
export type { Fetch } from "./http.ts";
export type { Receipt, Signal } from "./intake.ts";
export { MemoryStore, type MemoryStoreOptions } from "./memory_store.ts";
export {
  DecryptionError,
  type DecryptionFault,
  decrypt,
  encryptFor,
  fingerprintOf,
  generatePemKeys,
  type MessageContext,
  type PemKeys,
} from "./pem_encryption.ts";
export { RoomClient, type RoomEvent, type RoomOptions, registerForRoom } from "./room.ts";
export type { Sendable, SendOptions } from "./sends.ts";
export type { OnSession, Session } from "./session_keeper.ts";
export { type ClientErrorCode, SottoError, type SottoErrorOptions } from "./sotto_error.ts";
export type { SendStatus, StatusUpdate } from "./statuses.ts";
export {
  type ClientEntry,
  type ClientStore,
  type OutgoingMessage,
  repetitionKeyOf,
  type StoreChange,
  type StoredEntry,
  type StoredState,
} from "./store.ts";
export { systemTiming, type Timing } from "./timing.ts";
