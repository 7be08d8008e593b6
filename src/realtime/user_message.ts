/** Everything that a user actor may be told: hints, frames of its sockets, and outcomes of what it started. */
import type { BehindRow, Page, ReactResult, SentMessage } from "../conversations/mod.ts";
import type { InboxEntry } from "../devices/mod.ts";
import type { ClientFrame, ConversationId, ServerFrame, SessionEnd } from "../protocol/mod.ts";
import type { AccountHint } from "./bus.ts";
import type { Events } from "./fan_out.ts";
import type { Generation } from "./feed_host.ts";
import type { SendPlace } from "./send_order.ts";
import type { Session } from "./session.ts";

/** A frame that carries a message. */
export type MessageFrame = Extract<ClientFrame, { type: "message" }>;

/** A frame that carries a reaction. */
export type ReactionFrame = Extract<ClientFrame, { type: "reaction" }>;

/** Everything that a user actor may be told. */
export type UserMessage =
  | AccountHint
  | Events
  | { readonly type: "registered" }
  | { readonly type: "attach"; readonly session: Session }
  | { readonly type: "detach"; readonly session: Session }
  | {
      readonly type: "frame";
      readonly session: Session;
      readonly frame: ClientFrame;
      /** The place of a `message` in its socket's order. */
      readonly place: SendPlace | null;
    }
  | {
      readonly type: "sent";
      readonly session: Session;
      readonly frame: MessageFrame;
      readonly message: SentMessage;
      /** When it was stored (ms), of a message that is followed. */
      readonly storedAt: number | null;
    }
  | {
      readonly type: "reacted";
      readonly session: Session;
      readonly frame: ReactionFrame;
      readonly result: ReactResult;
    }
  | {
      readonly type: "reaction_failed";
      readonly session: Session;
      readonly frame: ReactionFrame;
      readonly error: unknown;
    }
  | {
      readonly type: "send_failed";
      readonly session: Session;
      readonly frame: MessageFrame;
      readonly place: SendPlace;
      readonly error: unknown;
    }
  /** Work for a frame is done, and this is what its sender is told. */
  | { readonly type: "answered"; readonly session: Session; readonly answer: ServerFrame }
  | { readonly type: "answer_failed"; readonly session: Session; readonly frame: ClientFrame; readonly error: unknown }
  | { readonly type: "refused"; readonly session: Session; readonly frame: ClientFrame; readonly error: unknown }
  | { readonly type: "done" }
  | {
      readonly type: "listed";
      readonly session: Session;
      readonly generation: Generation;
      readonly rows: readonly BehindRow[];
    }
  | {
      readonly type: "page";
      readonly session: Session;
      readonly generation: Generation;
      readonly conversationId: ConversationId;
      readonly page: Page | null;
    }
  | {
      readonly type: "read_failed";
      readonly session: Session;
      readonly generation: Generation;
      readonly conversationId: ConversationId | null;
    }
  /** Why the session was over when the database was asked; `null`: it lived. */
  | { readonly type: "liveness"; readonly session: Session; readonly end: SessionEnd | null }
  | { readonly type: "inbox_read"; readonly session: Session; readonly entries: readonly InboxEntry[] }
  | { readonly type: "inbox_failed"; readonly session: Session }
  /** The database knows that the socket's device has everything up to `seq` of its inbox. */
  | { readonly type: "inbox_acknowledged"; readonly session: Session; readonly seq: number }
  | { readonly type: "drained"; readonly session: Session }
  /** What came early has waited for what is below it. */
  | { readonly type: "waited"; readonly session: Session }
  /** Go on after a failed read; and, if `compare`, compare the heads. */
  | { readonly type: "check"; readonly session: Session; readonly compare: boolean }
  | { readonly type: "drain"; readonly session: Session };
