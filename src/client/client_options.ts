/** What the SDK's front door may be told. */
import type { MessageId } from "../protocol/mod.ts";
import type { ConnectionStatus, OpenSocket } from "./connection.ts";
import type { Fetch } from "./http.ts";
import type { Receipt, Signal } from "./intake.ts";
import type { PemKeys } from "./pem_encryption.ts";
import type { OnSession } from "./session_keeper.ts";
import type { SottoError } from "./sotto_error.ts";
import type { StatusUpdate } from "./statuses.ts";
import type { ClientStore } from "./store.ts";
import type { Timing } from "./timing.ts";

/** What every client may be told. Callbacks are called one at a time and never awaited. */
export interface ClientOptions {
  /** Encrypts and decrypts by itself with these; without them `send` takes ciphertext of the app's own. */
  readonly keys?: PemKeys;
  /** Where the device keeps its cursors, entries and outbox. Default: memory. */
  readonly store?: ClientStore;
  readonly openSocket?: OpenSocket;
  readonly fetch?: Fetch;
  readonly timing?: Timing;
  /** Milliseconds until an HTTP answer is given up. Default 10,000. */
  readonly deadlineMs?: number;
  /** New tokens: store them, to `resume` after a restart. Awaited before they are used. */
  readonly onSession?: OnSession;
  readonly onStatus?: (status: ConnectionStatus) => void;
  /**
   * Somebody types, was given something, has read it, or is seen as online, away, dnd or offline; own settings of a
   * conversation changed on another device.
   */
  readonly onSignal?: (signal: Signal) => void;
  /** A message that this client sent has got further. */
  readonly onMessageStatus?: (update: StatusUpdate) => void;
  /** A message that was sent before a restart, and that no promise waits for, has its receipt. */
  readonly onReceipt?: (receipt: Receipt) => void;
  /** Such a message was refused for good. */
  readonly onRejected?: (id: MessageId, error: SottoError) => void;
  /** The server refused something that answers no message. */
  readonly onProblem?: (error: SottoError) => void;
}

/** Who signs up or in. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}
