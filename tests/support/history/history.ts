/**
 * What happened in a run, as those outside of the server saw it: what they asked and were answered,
 * what every socket was sent, which faults there were, and in the end what the log holds. Whoever
 * makes traffic writes it down here; `checker.ts` judges it.
 *
 * - One clock, that of the recording process: every moment is in milliseconds, and no two are alike,
 *   so a smaller one came first. What a recorder cannot put on this clock it does not record.
 * - An operation is `open` until it is answered or given up. Given up is `unknown`, never failed: it
 *   may have happened, and may still happen. An answer that comes after all replaces `unknown`.
 * - Times of the server (`createdAt`) are milliseconds since the epoch and only ever compared with
 *   each other.
 *
 * A recorder promises: `send()` before the bytes leave; a connection once it is open; what a socket
 * is sent in the order in which it came; repeats in the order of the first attempts, or
 * `ordered: false`; and the final read after all traffic has ended.
 */
import type { AccountId, ConversationId, DeviceId } from "../../../src/protocol/mod.ts";
import { type Entry, entryOf } from "./entry.ts";
import {
  type AnyOperation,
  type Asked,
  type Kinds,
  type NodeName,
  Operation,
  type OperationKind,
  type SendInput,
} from "./operation.ts";

export type {
  AnyOperation,
  BlockInput,
  ChangeInput,
  ConfirmInput,
  Inbox,
  MembershipInput,
  NodeName,
  OperationKind,
  Outcome,
  PageAnswer,
  PageInput,
  RelayInput,
  SendAnswer,
  SendInput,
  SettingsInput,
  SignOutInput,
  Snapshot,
  SnapshotInput,
  Status,
} from "./operation.ts";
export { Operation } from "./operation.ts";

/** What a connection saw or did, in its order. */
export type ConnectionEvent = { readonly at: number } & (
  | { readonly type: "delivered"; readonly entry: Entry }
  | { readonly type: "caught_up" }
  | { readonly type: "resync" }
  | { readonly type: "truncated"; readonly conversation: ConversationId; readonly before: number }
  | { readonly type: "left"; readonly conversation: ConversationId; readonly seq: number }
  | {
      readonly type: "read_told";
      readonly conversation: ConversationId;
      readonly account: AccountId;
      readonly seq: number;
    }
  | {
      readonly type: "delivered_told";
      readonly conversation: ConversationId;
      readonly account: AccountId;
      readonly seq: number;
    }
  | { readonly type: "presence_told"; readonly account: AccountId; readonly status: string }
  | { readonly type: "read_marked"; readonly conversation: ConversationId; readonly seq: number }
  | { readonly type: "read_refused"; readonly conversation: ConversationId; readonly seq: number }
  /** The device said where it stands. */
  | { readonly type: "resumed"; readonly cursors: ReadonlyMap<ConversationId, number> }
  | { readonly type: "acknowledged"; readonly conversation: ConversationId; readonly seq: number }
  | {
      readonly type: "acknowledgement_refused";
      readonly conversation: ConversationId;
      readonly seq: number;
      readonly code: string;
    }
  /** A round trip is over: whatever was sent to the server before it began was answered, if it has an answer. */
  | { readonly type: "settled"; readonly since: number }
);

type Told<Event = ConnectionEvent> = Event extends ConnectionEvent ? Omit<Event, "at"> : never;

/** Whose connection it is and where. */
export interface ConnectionInput extends Asked {
  readonly device: DeviceId;
}

/** How a connection ended. `by`: whether the server ended it, this side, or a fault in between. */
export interface Closed {
  readonly at: number;
  readonly code: number;
  readonly by: "server" | "client" | "cut";
}

/** One socket from its opening to its end. */
export class Connection {
  readonly input: ConnectionInput;
  readonly openedAt: number;
  readonly events: ConnectionEvent[] = [];
  closed: Closed | null = null;
  readonly #tick: () => number;

  constructor(input: ConnectionInput, tick: () => number) {
    this.input = input;
    this.#tick = tick;
    this.openedAt = tick();
  }

  /** Writes down what was seen or done; gives its moment. */
  note(event: Told): number {
    const at = this.#tick();
    this.events.push({ ...event, at } as ConnectionEvent);
    return at;
  }

  /**
   * Writes down a frame of the server that says something of the logs; others are passed over, and
   * receipts and refusals belong to their operations.
   */
  // biome-ignore lint/suspicious/noExplicitAny: a frame as it came.
  frame(frame: any): void {
    switch (frame.type) {
      case "message":
      case "edit":
      case "deletion":
      case "reaction":
      case "membership":
      case "notice":
      case "tombstone":
        return void this.note({ type: "delivered", entry: entryOf(frame) });
      case "caught_up":
      case "resync":
        return void this.note({ type: frame.type });
      case "truncated":
        return void this.note({
          type: "truncated",
          conversation: frame.conversation_id,
          before: frame.truncated_before,
        });
      case "conversation_left":
        return void this.note({ type: "left", conversation: frame.conversation_id, seq: frame.left_seq });
      case "message_read":
      case "message_delivered": {
        const { conversation_id: conversation, user_id: account, seq } = frame;
        const type = frame.type === "message_read" ? "read_told" : "delivered_told";
        return void this.note({ type, conversation, account, seq });
      }
      case "presence_update":
        return void this.note({ type: "presence_told", account: frame.user_id, status: frame.status });
    }
  }

  /** It has ended; the first word counts. */
  end(code: number, by: Closed["by"]): void {
    this.closed ??= { at: this.#tick(), code, by };
  }
}

/** What a fault hit: everything, one node, or the sockets of one account (a reader that does not read). */
export type Hit =
  | { readonly type: "all" }
  | { readonly type: "node"; readonly node: NodeName }
  | { readonly type: "account"; readonly account: AccountId };

/** One fault from its making to its healing. */
export interface Fault {
  readonly name: string;
  readonly hit: Hit;
  readonly from: number;
  /**
   * When it was healed; from here on the promises of time count. For what does not heal (Redis gone
   * for good) the moment from which the server has to cope. `null`: not healed yet.
   */
  to: number | null;
}

/** What the tables hold of one conversation, after all traffic has ended. */
export interface StoredLog {
  readonly conversation: ConversationId;
  readonly isDm: boolean;
  /** In the order of seq. */
  readonly entries: readonly Entry[];
  /** The head's own number. */
  readonly lastSeq: number;
  /** Everything up to here was removed by retention; 0: nothing. */
  readonly purged: number;
  /** Milliseconds that entries live; `null`: for ever. */
  readonly retentionMs: number | null;
  readonly members: readonly { readonly account: AccountId; readonly joined: number; readonly left: number | null }[];
  /** What the server believes that devices have acknowledged. */
  readonly cursors: readonly {
    readonly device: DeviceId;
    readonly account: AccountId;
    readonly acknowledged: number;
  }[];
}

/** The final read. */
export interface FinalRead {
  readonly at: number;
  /** Milliseconds since the epoch, by the database's clock. */
  readonly date: number;
  readonly logs: readonly StoredLog[];
}

/** See the head of this file. */
export class History {
  readonly operations: AnyOperation[] = [];
  readonly connections: Connection[] = [];
  readonly faults: Fault[] = [];
  /** Names of the faults that the run is to have; one that did not take place makes the verdict unknown. */
  readonly planned: string[] = [];
  final: FinalRead | null = null;
  /** Reads that were made once nothing was under way any more, and every cursor was in the database. */
  atRest: ReadonlySet<AnyOperation> = new Set();
  #last = 0;
  readonly #clock: () => number;

  /** `clock`: milliseconds that never go back; two readings may be alike. */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** A moment of the one clock, later than every moment before. */
  readonly tick = (): number => {
    this.#last = Math.max(this.#clock(), this.#last + 0.000_1);
    return this.#last;
  };

  /** An operation begins: call it before anything leaves. */
  begin<Kind extends OperationKind>(kind: Kind, input: Kinds[Kind]["input"]): Operation<Kind> {
    const operation = new Operation(kind, input, this.tick);
    this.operations.push(operation as unknown as AnyOperation);
    return operation;
  }

  /** A message is sent: an operation as any other, and the one that most are. */
  send(input: SendInput): Operation<"send"> {
    return this.begin("send", input);
  }

  /** A socket has opened. */
  connection(input: ConnectionInput): Connection {
    const connection = new Connection(input, this.tick);
    this.connections.push(connection);
    return connection;
  }

  /** A fault begins; set `to` by {@link healed}. */
  fault(name: string, hit: Hit): Fault {
    const fault: Fault = { name, hit, from: this.tick(), to: null };
    this.faults.push(fault);
    return fault;
  }

  /** It is over. */
  healed(fault: Fault): void {
    fault.to = this.tick();
  }

  /** What the tables hold, once nothing is under way any more; see `read_logs.ts`. */
  finish(read: Omit<FinalRead, "at">): void {
    this.final = { ...read, at: this.tick() };
  }
}
