/**
 * What the server's frames mean: which entries are to be stored, which messages leave the
 * outbox, and what happens after that is persisted. It decides and changes nothing outside
 * {@link Sync}, {@link Outbox} and {@link Exchanges}; the engine commits the step and then runs its effects.
 */
import type { AccountId, ConversationId, EventFrame, MessageId, ReceiptFrame, ServerFrame } from "../protocol/mod.ts";
import type { Exchanges } from "./exchanges.ts";
import type { Outbox } from "./outbox.ts";
import { type ErrorFrame, fromErrorFrame, type SottoError } from "./sotto_error.ts";
import type { ClientEntry, OutgoingMessage, StoreChange } from "./store.ts";
import type { Sync } from "./sync.ts";

/** The server's word that a message is stored. */
export interface Receipt {
  readonly conversationId: ConversationId;
  readonly id: MessageId;
  readonly seq: number;
  /** Milliseconds since the epoch, by the server's clock. */
  readonly createdAt: number;
  /** The id of the first attempt, where the server refused that one for its age [MSG-7]; else null. */
  readonly renewedFrom: MessageId | null;
}

/**
 * What is not stored: somebody types, was given something, has read it (oneself too, on another device), or is
 * seen otherwise than before; the account deleted a message for itself, or changed its own settings; it
 * administers the server, and there is a new report.
 */
export type Signal = Extract<
  ServerFrame,
  {
    type:
      | ("message_delivered" | "message_read" | "message_hidden" | "settings" | "report_filed")
      | ("typing_start" | "typing_stop" | "presence_update");
  }
>;

/** What a number of frames amounts to. */
export interface Step {
  readonly entries: ClientEntry[];
  readonly cursors: Map<ConversationId, number>;
  readonly settled: MessageId[];
  readonly receipts: Receipt[];
  readonly signals: Signal[];
  readonly problems: SottoError[];
  /** The last seq of the device's inbox that came; 0: none. */
  inboxSeq: number;
  /** Whether the server has said that nothing more is missing. */
  caughtUp: boolean;
  /** Whether the server begins again. */
  restarted: boolean;
}

/** What frames are judged with. */
export interface Intake {
  readonly sync: Sync;
  readonly outbox: Outbox;
  readonly exchanges: Exchanges;
  readonly self: AccountId;
}

/** A step that changes nothing yet. */
export function emptyStep(): Step {
  return {
    entries: [],
    cursors: new Map(),
    settled: [],
    receipts: [],
    signals: [],
    problems: [],
    inboxSeq: 0,
    caughtUp: false,
    restarted: false,
  };
}

/** What the store has to commit before the step's effects; `undefined` where nothing. */
export function changeOf(step: Step): StoreChange | undefined {
  if (step.entries.length + step.cursors.size + step.settled.length === 0) return undefined;
  return { entries: step.entries, cursors: [...step.cursors], settled: step.settled };
}

/** Adds what one frame means to the step. */
export function planFrame(intake: Intake, frame: ServerFrame, step: Step): void {
  switch (frame.type) {
    case "message":
    case "edit":
    case "deletion":
    case "reaction":
    case "membership":
    case "notice":
    case "change":
    case "tombstone":
      return planEvent(intake, frame, step);
    case "key_exchange":
      step.entries.push(frame);
      step.inboxSeq = Math.max(step.inboxSeq, frame.seq);
      return;
    case "key_exchange_stored":
      return intake.exchanges.stored(frame.id);
    case "receipt":
      return planReceipt(intake, frame, step);
    case "error":
      return planError(intake, frame, step);
    case "truncated":
      return planSkip(intake, { frame, to: frame.truncated_before - 1 }, step);
    case "conversation_left":
      return planSkip(intake, { frame, to: frame.left_seq }, step);
    case "caught_up":
      step.caughtUp = true;
      return;
    case "resync":
      intake.sync.restart();
      step.restarted = true;
      return;
    case "message_delivered":
    case "message_read":
    case "settings":
    case "typing_start":
    case "typing_stop":
    case "message_hidden":
    case "report_filed":
    case "presence_update":
      step.signals.push(frame);
      return;
    case "welcome":
    case "pong":
    case "reauth":
      return; // the connection's own
    default:
      frame satisfies never;
      // A newer server says more than this client knows; an entry of the log keeps its place in any case.
      if (isEntry(frame)) planEvent(intake, frame, step);
      return;
  }
}

/** Adds a page that was read over HTTP after the own cursor. */
export function planPage(intake: Intake, page: readonly EventFrame[], step: Step): void {
  for (const event of intake.sync.takePage(page)) {
    settleByEvent(intake, event, step);
    keep(step, event);
  }
}

function planEvent(intake: Intake, event: EventFrame, step: Step): void {
  settleByEvent(intake, event, step);
  if (intake.sync.take(event, intake.self) === "next") keep(step, event);
}

/** Whether a frame of an unknown type is an entry of a log. */
function isEntry(frame: object): frame is EventFrame {
  return "seq" in frame && typeof frame.seq === "number" && "conversation_id" in frame && "sender_id" in frame;
}

/** An own event says what its receipt would have said, if that was lost with a socket. */
function settleByEvent(intake: Intake, event: EventFrame, step: Step): void {
  if (event.sender_id !== intake.self || event.type === "membership") return;
  if (intake.outbox.settle(event.id) !== undefined) settled(step, event);
}

function planReceipt(intake: Intake, receipt: ReceiptFrame, step: Step): void {
  const message = intake.outbox.settle(receipt.id);
  if (message !== undefined) settled(step, receipt);
  if (!receipt.in_order) return;
  if (message === undefined) return intake.sync.miss(receipt.conversation_id, receipt.seq);
  const event = toEvent(message, receipt, intake.self);
  if (intake.sync.take(event, intake.self) === "next") keep(step, event);
}

/** The event that a receipt stands for [MSG-3]. */
function toEvent(message: OutgoingMessage, receipt: ReceiptFrame, self: AccountId): EventFrame {
  const { type: _type, id: _id, expires_in: _expires, ...content } = JSON.parse(message.frame);
  return {
    ...content,
    type: "message",
    conversation_id: receipt.conversation_id,
    seq: receipt.seq,
    id: receipt.id,
    sender_id: self,
    created_at: receipt.created_at,
    ...(receipt.expires_at === undefined ? {} : { expires_at: receipt.expires_at }),
  };
}

function planError(intake: Intake, frame: ErrorFrame, step: Step): void {
  const { id } = frame;
  if (id === undefined) step.problems.push(fromErrorFrame(frame));
  else if (!intake.exchanges.refused({ ...frame, id })) intake.outbox.refused({ ...frame, id });
}

/** The server says why some seqs will not come. */
function planSkip(
  intake: Intake,
  skip: { readonly frame: Extract<ClientEntry, { type: "truncated" | "conversation_left" }>; readonly to: number },
  step: Step,
): void {
  const { frame, to } = skip;
  if (!intake.sync.skip(frame.conversation_id, to)) return;
  step.entries.push(frame);
  step.cursors.set(frame.conversation_id, to);
}

function keep(step: Step, event: EventFrame): void {
  step.entries.push(event);
  step.cursors.set(event.conversation_id, event.seq);
}

function settled(step: Step, place: Pick<ReceiptFrame, "conversation_id" | "id" | "seq" | "created_at">): void {
  step.settled.push(place.id);
  step.receipts.push({
    conversationId: place.conversation_id,
    id: place.id,
    seq: place.seq,
    createdAt: Date.parse(place.created_at),
    renewedFrom: null,
  });
}
