/** The way of the engine's news to the app, past the parts of the client that make something of them. */
import type { ClientOptions } from "./client_options.ts";
import type { Composer } from "./composer.ts";
import type { EngineObserver } from "./engine.ts";
import type { Sends } from "./sends.ts";
import { SottoError } from "./sotto_error.ts";
import type { Statuses } from "./statuses.ts";
import type { Typing } from "./typing.ts";

/** What the engine's news go through on their way to the app. */
export interface Listeners {
  readonly sends: Sends;
  readonly composer: Composer;
  readonly statuses: Statuses;
  readonly typing: Typing;
}

/** Tells the app what the engine says, and the parts of the client that make something of it. */
export function observerOf(options: ClientOptions, { sends, composer, statuses, typing }: Listeners): EngineObserver {
  // A throw in a callback is the app's own: it ends in the runtime's handler and not in the engine.
  const tell = (call: () => void) => queueMicrotask(call);
  return {
    onStatus: (status) => {
      if (status.state === "stopped" && status.reason.code !== "closed") {
        sends.abandon(
          new SottoError("stopped", "Sign in again: the session has ended", { details: { ...status.reason } }),
        );
      }
      if (status.state === "live") void statuses.refresh();
      tell(() => options.onStatus?.(status));
    },
    onSignal: (signal) => {
      if (signal.type === "typing_start" || signal.type === "typing_stop") return typing.heard(signal);
      if (signal.type === "message_delivered" || signal.type === "message_read") statuses.marked(signal);
      tell(() => options.onSignal?.(signal));
    },
    onReceipt: (receipt) => {
      statuses.received(receipt);
      if (!sends.received(receipt)) tell(() => options.onReceipt?.(receipt));
    },
    onRejected: (message, error) => {
      statuses.failed(message.id);
      if (!sends.refused(message.id, error)) tell(() => options.onRejected?.(message.id, error));
    },
    onProblem: (error) => tell(() => options.onProblem?.(error)),
    onEntries: (entries) => {
      for (const entry of entries) {
        if (entry.type === "membership") composer.forget(entry.conversation_id);
        if (entry.type === "message") typing.said(entry.conversation_id, entry.sender_id);
      }
    },
    renew: async (message) => {
      const renewed = await sends.renew(message);
      if (renewed !== undefined) statuses.sending(message.conversationId, renewed.id, message.id);
      return renewed;
    },
  };
}
