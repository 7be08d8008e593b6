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
import type { AccountId, ConversationId, DeviceId, MessageId, SessionId } from "../../../src/protocol/mod.ts";
import { type Entry, entryOf } from "./entry.ts";

/** The name of a node, as the run calls it: its place in the list of nodes, or its address. */
export type NodeName = string;

/** What became of an operation. `timeout`: not answered in time. `cut`: the connection ended first. */
export type Outcome<Answer> =
  | { readonly type: "open" }
  | { readonly type: "ok"; readonly at: number; readonly answer: Answer }
  | { readonly type: "refused"; readonly at: number; readonly code: string; readonly retryable: boolean }
  | { readonly type: "unknown"; readonly at: number; readonly why: "timeout" | "cut" };

/** Who asks what of whom. */
interface Asked {
  readonly account: AccountId;
  readonly session: SessionId;
  readonly node: NodeName;
}

/** One attempt to send a message; a repeat is an operation of its own, with the same id. */
export interface SendInput extends Asked {
  readonly device: DeviceId;
  readonly conversation: ConversationId;
  readonly id: MessageId;
  /** See {@link bodyOf}. */
  readonly body: string;
  /** The connection it was sent on, or `null` over HTTP. */
  readonly via: Connection | null;
  /** False for a copy that is sent beside others of its id, whose place says nothing of an order. */
  readonly ordered: boolean;
}

/** The receipt. `inOrder`: it stands for the event on that connection [MSG-3]; false over HTTP. */
export interface SendAnswer {
  readonly seq: number;
  readonly createdAt: number;
  readonly inOrder: boolean;
}

/** A page of a log over HTTP: after a seq, before a seq, or the newest (`seq` null). */
export interface PageInput extends Asked {
  readonly conversation: ConversationId;
  readonly direction: "after" | "before" | "newest";
  readonly seq: number | null;
}

/** The page. `next` and `previous` as the server gave them. */
export interface PageAnswer {
  readonly entries: readonly Entry[];
  readonly next: number | null;
  readonly previous: number | null;
}

/** A read of one conversation, or of the account's list of them, over HTTP. */
export type SnapshotInput = Asked;

/** What a summary says; `messages` counts what counts as unread. */
export interface Snapshot {
  readonly conversation: ConversationId;
  readonly lastSeq: number;
  readonly participants: readonly AccountId[];
  readonly messages: number;
}

/** A conversation opened, somebody added, somebody removed (or oneself: leaving). */
export interface MembershipInput extends Asked {
  readonly change: "create" | "add" | "remove";
  /** `null` for one that is being created. */
  readonly conversation: ConversationId | null;
  readonly accounts: readonly AccountId[];
}

/** What is in `sessions` ends; a sign-out ends the asking session. */
export interface SignOutInput extends Asked {
  readonly sessions: readonly SessionId[];
}

/** Somebody blocks somebody, or no longer does. */
export interface BlockInput extends Asked {
  readonly change: "block" | "unblock";
  readonly whom: AccountId;
}

/** A message is edited, deleted for all, or reacted to. */
export interface ChangeInput extends Asked {
  readonly conversation: ConversationId;
  readonly message: MessageId;
  readonly what: "edit" | "delete" | "react" | "unreact";
  /** Of an edit: its own id, and {@link bodyOf} the message with what it says. */
  readonly id: MessageId | null;
  readonly said: string | null;
  /** Of a reaction. */
  readonly emoji: string | null;
}

/** What each kind of operation is given and answered. */
interface Kinds {
  readonly send: { readonly input: SendInput; readonly answer: SendAnswer };
  readonly page: { readonly input: PageInput; readonly answer: PageAnswer };
  readonly snapshot: { readonly input: SnapshotInput; readonly answer: readonly Snapshot[] };
  readonly membership: { readonly input: MembershipInput; readonly answer: { readonly conversation: ConversationId } };
  readonly sign_out: { readonly input: SignOutInput; readonly answer: null };
  readonly block: { readonly input: BlockInput; readonly answer: null };
  readonly change: { readonly input: ChangeInput; readonly answer: null };
}

/** A kind of operation. */
export type OperationKind = keyof Kinds;

/** One operation of any kind. */
export type AnyOperation = { [Kind in OperationKind]: Operation<Kind> }[OperationKind];

/** One operation; whoever began it says here what came of it. */
export class Operation<Kind extends OperationKind> {
  readonly kind: Kind;
  readonly input: Kinds[Kind]["input"];
  readonly invokedAt: number;
  outcome: Outcome<Kinds[Kind]["answer"]> = { type: "open" };
  readonly #tick: () => number;

  constructor(kind: Kind, input: Kinds[Kind]["input"], tick: () => number) {
    this.kind = kind;
    this.input = input;
    this.#tick = tick;
    this.invokedAt = tick();
  }

  /** It was answered. */
  ok(answer: Kinds[Kind]["answer"]): void {
    const at = this.#tick();
    if (!this.#settles) return;
    this.outcome = { type: "ok", at, answer };
    if (this.kind === "send") standFor(this as unknown as Operation<"send">, at);
  }

  /** It was refused by a code of the registry. */
  refused(code: string, retryable: boolean): void {
    if (this.#settles) this.outcome = { type: "refused", at: this.#tick(), code, retryable };
  }

  /** Nobody will know from this attempt what became of it. */
  unknown(why: "timeout" | "cut"): void {
    if (this.outcome.type === "open") this.outcome = { type: "unknown", at: this.#tick(), why };
  }

  get #settles(): boolean {
    return this.outcome.type === "open" || this.outcome.type === "unknown";
  }
}

/** A receipt with `in_order` is the delivery of its event on that connection. */
function standFor({ input, outcome }: Operation<"send">, at: number): void {
  if (outcome.type !== "ok" || !outcome.answer.inOrder) return;
  const { conversation, id, account: sender, body } = input;
  const { seq, createdAt } = outcome.answer;
  input.via?.events.push({
    type: "delivered",
    at,
    entry: { conversation, seq, id, sender, createdAt, kind: "message", body },
  });
}

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
  | { readonly type: "read_marked"; readonly conversation: ConversationId; readonly seq: number }
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
      case "message_read": {
        const { conversation_id: conversation, user_id: account, seq } = frame;
        return void this.note({ type: "read_told", conversation, account, seq });
      }
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
