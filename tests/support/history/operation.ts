/** What people ask of a server, what it answers, and one such operation from its beginning to its end. */
import type { AccountId, ConversationId, DeviceId, MessageId, SessionId } from "../../../src/protocol/mod.ts";
import type { Entry } from "./entry.ts";
import type { Connection } from "./history.ts";

/** The name of a node, as the run calls it: its place in the list of nodes, or its address. */
export type NodeName = string;

/** What became of an operation. `timeout`: not answered in time. `cut`: the connection ended first. */
export type Outcome<Answer> =
  | { readonly type: "open" }
  | { readonly type: "ok"; readonly at: number; readonly answer: Answer }
  | { readonly type: "refused"; readonly at: number; readonly code: string; readonly retryable: boolean }
  | { readonly type: "unknown"; readonly at: number; readonly why: "timeout" | "cut" };

/** Who asks what of whom. */
export interface Asked {
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
  /** Of the reader's own messages, by seq. */
  readonly statuses: ReadonlyMap<number, Status>;
}

/** How far a message got. */
export type Status = "sent" | "delivered" | "read";

/** A read of one conversation, or of the account's list of them, over HTTP. */
export type SnapshotInput = Asked;

/** What a summary says; `messages` counts what counts as unread. */
export interface Snapshot {
  readonly conversation: ConversationId;
  readonly lastSeq: number;
  readonly participants: readonly AccountId[];
  readonly messages: number;
  /** The first seq that its reader may see, up to where they have read, and what that leaves. */
  readonly first: number;
  readonly read: number;
  readonly unread: number;
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

/** Somebody sets what others are told of them; what is absent stays as it is. */
export interface SettingsInput extends Asked {
  /** Whether they give and get read marks. */
  readonly readReceipts?: boolean;
  /** Whether they show to nobody how they are. */
  readonly hidden?: boolean;
}

/** A message is sent over the relay's contract, which names neither conversation nor seq; repeats have the same body. */
export interface RelayInput extends Asked {
  readonly recipient: AccountId;
  /** See {@link bodyOf}; no two messages have the same. */
  readonly body: string;
}

/** What waits for an account by the relay's contract. `whole`: nothing more does. */
export interface Inbox {
  readonly messages: readonly {
    readonly id: MessageId;
    readonly sender: AccountId;
    readonly body: string;
    readonly createdAt: number;
  }[];
  readonly whole: boolean;
}

/** Somebody confirms one message by the relay's contract. */
export interface ConfirmInput extends Asked {
  readonly message: MessageId;
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
export interface Kinds {
  readonly send: { readonly input: SendInput; readonly answer: SendAnswer };
  readonly page: { readonly input: PageInput; readonly answer: PageAnswer };
  readonly snapshot: { readonly input: SnapshotInput; readonly answer: readonly Snapshot[] };
  readonly membership: { readonly input: MembershipInput; readonly answer: { readonly conversation: ConversationId } };
  readonly sign_out: { readonly input: SignOutInput; readonly answer: null };
  readonly block: { readonly input: BlockInput; readonly answer: null };
  readonly change: { readonly input: ChangeInput; readonly answer: null };
  readonly settings: { readonly input: SettingsInput; readonly answer: null };
  readonly relay: { readonly input: RelayInput; readonly answer: { readonly id: MessageId } };
  readonly inbox: { readonly input: Asked; readonly answer: Inbox };
  readonly confirm: { readonly input: ConfirmInput; readonly answer: null };
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
