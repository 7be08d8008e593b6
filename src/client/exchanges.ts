/**
 * What this device hands to other devices, until the server has it. Each is sent again, under the same id and with the same
 * bytes, after every reconnect and after a refusal that may pass: the server puts it into an inbox once. They are not
 * kept across a restart of the app, and have no order among them.
 *
 * States: waiting -> in_flight -> (stored | refused | pausing -> waiting).
 */
import { type AccountId, LIMITS, type MessageId, newMessageId, type SessionId } from "../protocol/mod.ts";
import { type ErrorFrame, fromErrorFrame, SottoError } from "./sotto_error.ts";
import { backoffMs, type Timing } from "./timing.ts";

/** What is handed over, and to whom. */
export interface KeyExchange {
  readonly to: AccountId;
  /** Only to the device of this session of theirs; absent: to every device where they are signed in. */
  readonly session?: SessionId | undefined;
  /** At most 16 KiB; encrypt it, for the server sees it as it is. */
  readonly payload: Uint8Array;
}

interface Waiting {
  readonly frame: string;
  readonly resolve: () => void;
  readonly reject: (error: SottoError) => void;
  state: "waiting" | "in_flight" | "pausing";
  refusals: number;
  cancelPause: (() => void) | undefined;
}

const MOST_WAITING = 1_000;
/** What the outbox leaves of the answers that a socket may wait for. */
const IN_FLIGHT = 4;
const BASE_MS = 200;
const MOST_MS = 10_000;
const MOST_ASKED_MS = 60_000;

/** See the head of this file. */
export class Exchanges {
  readonly #timing: Timing;
  readonly #transmit: (frame: string) => boolean;
  readonly #waiting = new Map<MessageId, Waiting>();
  #connected = false;

  /** `transmit` sends a frame; false when there is no socket. */
  constructor(timing: Timing, transmit: (frame: string) => boolean) {
    this.#timing = timing;
    this.#transmit = transmit;
  }

  /** Hands something over; resolves once the server has it for each device, rejects where it is refused for good. */
  handOver({ to, session, payload }: KeyExchange): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MOST_WAITING) {
        throw new SottoError("outbox_full", `Wait until key exchanges are answered: ${MOST_WAITING} wait`, {
          retryable: true,
        });
      }
      const id = newMessageId(this.#timing.now());
      const frame = JSON.stringify({
        ...{ type: "key_exchange", id, to_user_id: to },
        ...(session === undefined ? {} : { to_session_id: session }),
        payload: base64Of(payload),
      });
      this.#waiting.set(id, { frame, resolve, reject, state: "waiting", refusals: 0, cancelPause: undefined });
      this.#pump();
    });
  }

  /** The socket is authenticated. */
  connected(): void {
    this.#connected = true;
    this.#pump();
  }

  /** The socket is gone: what was in flight may be stored or not, and waits again. */
  disconnected(): void {
    this.#connected = false;
    for (const waiting of this.#waiting.values()) if (waiting.state === "in_flight") waiting.state = "waiting";
  }

  /** The server has it for each device. */
  stored(id: MessageId): void {
    this.#end(id)?.resolve();
  }

  /** The server refused something; false where it is none of these. */
  refused(frame: ErrorFrame & { readonly id: MessageId }): boolean {
    const waiting = this.#waiting.get(frame.id);
    if (waiting === undefined) return false;
    if (frame.retryable) this.#pause(waiting, frame);
    else this.#end(frame.id)?.reject(fromErrorFrame(frame));
    this.#pump();
    return true;
  }

  /** Nobody will answer any more. */
  abandon(error: SottoError): void {
    this.#connected = false;
    for (const id of [...this.#waiting.keys()]) this.#end(id)?.reject(error);
  }

  #pause(waiting: Waiting, { details }: ErrorFrame): void {
    if (waiting.state !== "in_flight") return;
    const asked = details?.retry_after_ms;
    const least = typeof asked === "number" ? Math.min(asked, MOST_ASKED_MS) : 0;
    const ms = least + backoffMs(waiting.refusals++, this.#timing.random(), BASE_MS, MOST_MS);
    waiting.state = "pausing";
    waiting.cancelPause = this.#timing.after(ms, () => {
      waiting.state = "waiting";
      this.#pump();
    });
  }

  /** Sends what may be sent, the oldest first. */
  #pump(): void {
    if (!this.#connected) return;
    let inFlight = 0;
    for (const { state } of this.#waiting.values()) if (state === "in_flight") inFlight++;
    for (const waiting of this.#waiting.values()) {
      if (inFlight >= IN_FLIGHT) return;
      if (waiting.state !== "waiting") continue;
      if (!this.#transmit(waiting.frame)) return;
      waiting.state = "in_flight";
      inFlight++;
    }
  }

  #end(id: MessageId): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.cancelPause?.();
    if (waiting !== undefined) this.#pump();
    return waiting;
  }
}

function base64Of(bytes: Uint8Array): string {
  // Beyond the limit the server refuses it; so much and no more is spread over arguments.
  const most = Math.ceil(LIMITS.keyExchangeChars / 4) * 3 + 3;
  return btoa(String.fromCharCode(...bytes.subarray(0, most)));
}
