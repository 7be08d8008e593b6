/**
 * The bus port: how nodes tell each other what happened, and how they find out who should
 * be told. A hint may be lost, doubled, reordered or late [design P7]: the log is the truth,
 * and a lost hint costs time, never an entry.
 */
import type { AccountId, ConversationId, SessionId } from "../protocol/mod.ts";

/** The name of one running process. */
export type NodeId = string;

/** What a node is told on behalf of accounts connected to it. */
export type Hint =
  /** A committed entry; `text` is its event frame, encoded once for all. */
  | {
      readonly type: "event";
      readonly to: readonly AccountId[];
      readonly conversationId: ConversationId;
      readonly seq: number;
      readonly at: number;
      readonly text: string;
      /** The members changed with it: what a node knows of them is out of date. */
      readonly members?: true;
    }
  /** There may be something up to `seq`: read the log. */
  | {
      readonly type: "doorbell";
      readonly to: readonly AccountId[];
      readonly conversationId: ConversationId;
      readonly seq: number;
    }
  /** A frame that is sent to whoever is there and kept nowhere. */
  | { readonly type: "signal"; readonly to: readonly AccountId[]; readonly text: string }
  /** Sessions have ended: their sockets close. */
  | { readonly type: "end_sessions"; readonly to: readonly AccountId[]; readonly sessionIds: readonly SessionId[] };

/** See the head of this file. */
export interface Bus extends AsyncDisposable {
  /** Joins as a node; `receive` is called with what others publish to it. */
  join(node: NodeId, receive: (hints: readonly Hint[]) => void): Promise<void>;
  /** Says that an account is connected here. Resolves once others can see it. */
  register(node: NodeId, account: AccountId): Promise<void>;
  /** Takes that back. */
  unregister(node: NodeId, account: AccountId): Promise<void>;
  /** The nodes, other than `node`, where each of these accounts is connected. Never from a cache. */
  locate(node: NodeId, accounts: readonly AccountId[]): Promise<ReadonlyMap<NodeId, readonly AccountId[]>>;
  /** Sends hints to one node; returns at once. */
  publish(to: NodeId, hints: readonly Hint[]): void;
}
