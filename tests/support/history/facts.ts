/** What the rules of the checker have in common: the history by log, by message, by device and by time. */
import type { AccountId, ConversationId, DeviceId, MessageId, SessionId } from "../../../src/protocol/mod.ts";
import { Blocks } from "./blocks.ts";
import type { Entry } from "./entry.ts";
import type {
  AnyOperation,
  Connection,
  ConnectionEvent,
  Fault,
  FinalRead,
  History,
  NodeName,
  Operation,
  SettingsInput,
  StoredLog,
} from "./history.ts";
import { Switches } from "./switches.ts";

/**
 * A promise that the checker proves, by its number in the list of what must hold (see `checker.ts`);
 * `HEAL` is what is promised for the time after a fault.
 */
export type Rule =
  | ("S1" | "S2" | "S3" | "S4" | "S5" | "S6" | "S7" | "S8" | "S9" | "S10" | "S11")
  | ("S12" | "S13" | "S14" | "S15" | "S16" | "S20" | "S23" | "S24" | "S25" | "S26" | "S27" | "S28" | "S29" | "HEAL");

/** One thing that should not have happened. */
export interface Violation {
  readonly rule: Rule;
  readonly text: string;
  readonly evidence: unknown;
}

/** How long what may take (milliseconds). */
export interface Times {
  /** From the moment an entry is known to be stored, or the last fault healed, until every socket has it. */
  readonly deliveredMs: number;
  /** Until a request is answered. */
  readonly answeredMs: number;
  /** After a fault is healed, until requests are answered and sends work. */
  readonly recoveredMs: number;
  /** From the answer to a sign-out until a request is refused. */
  readonly revokedMs: number;
  /** From the answer to a sign-out until its sockets are closed. */
  readonly closedMs: number;
  /** Until an acknowledgement is in the database [ACK-3]. */
  readonly flushMs: number;
  /** The same, from the end of the socket that it came on [ACK-3]. */
  readonly closingMs: number;
  /** Until a page of the node that took an acknowledgement or read mark says so: it writes them once a second. */
  readonly pagedMs: number;
  /** From the answer to a block or a setting until everybody is told accordingly. */
  readonly settledMs: number;
  /** How long somebody may be without a socket before others are told, and between two changes that are told. */
  readonly graceMs: number;
}

/** One membership: `joined` <= seq < `left`. */
export interface Interval {
  readonly joined: number;
  readonly left: number;
}

/** A log and its members, to be asked. */
export interface LogFacts {
  readonly log: StoredLog;
  readonly bySeq: ReadonlyMap<number, Entry>;
  readonly byId: ReadonlyMap<MessageId, Entry>;
  /** Its entries that say who came and who went. */
  readonly changes: readonly Entry[];
  /** In rising order. */
  readonly intervals: ReadonlyMap<AccountId, readonly Interval[]>;
}

/** The attempts to send one message, in their order. */
export interface Message {
  readonly conversation: ConversationId;
  readonly id: MessageId;
  readonly attempts: readonly [Operation<"send">, ...Operation<"send">[]];
}

/** See the head of this file. */
export interface Facts {
  readonly history: History;
  readonly final: FinalRead;
  readonly times: Times;
  readonly logs: ReadonlyMap<ConversationId, LogFacts>;
  readonly messages: readonly Message[];
  /** By `messageKey`. */
  readonly byKey: ReadonlyMap<string, Message>;
  /** Connections of each device, in the order of their opening. */
  readonly devices: ReadonlyMap<DeviceId, readonly Connection[]>;
  /** Acknowledgements that were refused: as if they had not been. */
  readonly refused: ReadonlySet<ConnectionEvent>;
  /** When each place of a log was first seen by anybody, by seq. */
  readonly seen: ReadonlyMap<ConversationId, ReadonlyMap<number, number>>;
  readonly blocks: Blocks;
  /** Who gives and gets no read marks, and who shows to nobody how they are; by account. */
  readonly silent: Switches;
  readonly hidden: Switches;
}

/** The key of a message: ids are unique within a conversation. */
export function messageKey(conversation: ConversationId, id: MessageId): string {
  return `${conversation} ${id}`;
}

/** Puts a history in order. */
export function gather(history: History, final: FinalRead, times: Times): Facts {
  const byKey = messagesOf(history.operations);
  return {
    history,
    final,
    times,
    logs: new Map(final.logs.map((log) => [log.conversation, factsOf(log)])),
    messages: [...byKey.values()],
    byKey,
    devices: devicesOf(history.connections),
    refused: refusedAcknowledgements(history.connections),
    seen: firstSeen(history),
    blocks: new Blocks(history),
    silent: settingsOf(history, ({ readReceipts }) => (readReceipts === undefined ? undefined : !readReceipts)),
    hidden: settingsOf(history, ({ hidden }) => hidden),
  };
}

function settingsOf({ operations }: History, read: (input: SettingsInput) => boolean | undefined): Switches {
  const switches = new Switches();
  for (const operation of operations) {
    const on = operation.kind === "settings" ? read(operation.input) : undefined;
    if (on !== undefined) switches.add(operation.input.account, on, operation);
  }
  return switches;
}

/** Whether an account may see a place of a log. */
export function maySee(log: LogFacts, account: AccountId, seq: number): boolean {
  return intervalAt(log, account, seq) !== undefined;
}

/** The membership that a place of a log falls into. */
export function intervalAt(log: LogFacts, account: AccountId, seq: number): Interval | undefined {
  return log.intervals.get(account)?.find(({ joined, left }) => joined <= seq && seq < left);
}

/** Everything that was shown, by a socket or a page, and to whom. */
export function* shown(history: History): Generator<{ readonly entry: Entry; readonly account: AccountId }> {
  for (const { input, events } of history.connections) {
    for (const event of events) if (event.type === "delivered") yield { entry: event.entry, account: input.account };
  }
  for (const operation of history.operations) {
    if (operation.kind !== "page" || operation.outcome.type !== "ok") continue;
    for (const entry of operation.outcome.answer.entries) yield { entry, account: operation.input.account };
  }
}

/** Whether a fault hit a node, or the sockets of an account. */
export function hits({ hit }: Fault, node: NodeName, account: AccountId): boolean {
  return hit.type === "all" || (hit.type === "node" ? hit.node === node : hit.account === account);
}

/** Faults of sockets and of what people send: they keep no node from what it is told by others. */
const OF_SOCKETS = /^(socket-cut|stalled-reader|reconnect-storm|same-send)/;

/** The faults by which a node may know something late that it is told by another, or by the database. */
export function faultsOfNodes({ faults }: History): readonly Fault[] {
  return faults.filter(({ name }) => !OF_SOCKETS.test(name));
}

/** Whether a fault falls into a part of a run. */
export function meets(faults: readonly Fault[], from: number, to: number): boolean {
  return faults.some((fault) => fault.from <= to && (fault.to ?? Number.POSITIVE_INFINITY) >= from);
}

/**
 * When something that began at a moment and may take `ms` is due: a fault that falls into the time
 * begins it anew when it is healed. Infinity while one is not healed.
 */
export function due(faults: readonly Fault[], from: number, ms: number): { at: number; after: Fault | null } {
  let start = from;
  let after: Fault | null = null;
  // In the order of their beginnings, so that one pass sees a fault that falls into the time which another gave.
  for (const fault of faults) {
    const to = fault.to ?? Number.POSITIVE_INFINITY;
    if (fault.from > start + ms || to <= start) continue;
    start = to;
    after = fault;
  }
  return { at: start + ms, after };
}

function factsOf(log: StoredLog): LogFacts {
  const intervals = new Map<AccountId, Interval[]>();
  for (const { account, joined, left } of log.members) {
    const own = intervals.get(account) ?? [];
    intervals.set(account, own);
    own.push({ joined, left: left ?? Number.POSITIVE_INFINITY });
  }
  for (const own of intervals.values()) own.sort((a, b) => a.joined - b.joined);
  return {
    log,
    bySeq: new Map(log.entries.map((entry) => [entry.seq, entry])),
    // Of an id that is there twice the first counts; the other is S8.
    byId: new Map(log.entries.toReversed().map((entry) => [entry.id, entry])),
    changes: log.entries.filter((entry) => entry.change !== undefined),
    intervals,
  };
}

function messagesOf(operations: readonly AnyOperation[]): Map<string, Message> {
  const messages = new Map<string, Message & { attempts: [Operation<"send">, ...Operation<"send">[]] }>();
  for (const operation of operations) {
    if (operation.kind !== "send") continue;
    const { conversation, id } = operation.input;
    const key = messageKey(conversation, id);
    const message = messages.get(key);
    if (message === undefined) messages.set(key, { conversation, id, attempts: [operation] });
    else message.attempts.push(operation);
  }
  return messages;
}

function devicesOf(connections: readonly Connection[]): Map<DeviceId, Connection[]> {
  const devices = new Map<DeviceId, Connection[]>();
  for (const connection of connections) {
    const own = devices.get(connection.input.device);
    if (own === undefined) devices.set(connection.input.device, [connection]);
    else own.push(connection);
  }
  return devices;
}

function refusedAcknowledgements(connections: readonly Connection[]): Set<ConnectionEvent> {
  const refused = new Set<ConnectionEvent>();
  for (const { events } of connections) {
    events.forEach((event, place) => {
      if (event.type !== "acknowledgement_refused") return;
      const { conversation, seq } = event;
      const meant = events.findLast(
        (other, before) =>
          before < place &&
          other.type === "acknowledged" &&
          other.conversation === conversation &&
          other.seq === seq &&
          !refused.has(other),
      );
      if (meant !== undefined) refused.add(meant);
    });
  }
  return refused;
}

function firstSeen(history: History): Map<ConversationId, Map<number, number>> {
  const seen = new Map<ConversationId, Map<number, number>>();
  const note = (conversation: ConversationId, seq: number, at: number): void => {
    let places = seen.get(conversation);
    if (places === undefined) {
      places = new Map();
      seen.set(conversation, places);
    }
    const before = places.get(seq);
    if (before === undefined || at < before) places.set(seq, at);
  };
  for (const { events } of history.connections) {
    for (const event of events) {
      if (event.type === "delivered") note(event.entry.conversation, event.entry.seq, event.at);
    }
  }
  for (const { kind, input, outcome } of history.operations) {
    if (outcome.type !== "ok") continue;
    if (kind === "send") note(input.conversation, outcome.answer.seq, outcome.at);
    else if (kind === "page")
      for (const { conversation, seq } of outcome.answer.entries) note(conversation, seq, outcome.at);
    else if (kind === "snapshot") for (const one of outcome.answer) note(one.conversation, one.lastSeq, outcome.at);
  }
  return seen;
}

/** When the sessions ended that were signed out, by the first answer that said so. */
export function endedSessions({ operations }: History): Map<SessionId, number> {
  const ended = new Map<SessionId, number>();
  for (const { kind, input, outcome } of operations) {
    if (kind !== "sign_out" || outcome.type !== "ok") continue;
    for (const session of input.sessions) if (!ended.has(session)) ended.set(session, outcome.at);
  }
  return ended;
}
