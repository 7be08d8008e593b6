/**
 * The bus port: how nodes tell each other what happened, and how they find out who should
 * be told. A hint may be lost, doubled, reordered or late [design P7]: the log is the truth,
 * and a lost hint costs time, never an entry.
 *
 * What a bus knows of its own losses it says: `doubt` when hints may have been lost, and
 * `healthy` while they may be lost at any moment. So the sockets compare their heads at once
 * then, and not only when their minute is over.
 */
import type { Address } from "../conversations/mod.ts";
import type { AccountId, ConversationId, DeviceStatus, SessionEnd, SessionId, UserStatus } from "../protocol/mod.ts";

/** The name of one running process. */
export type NodeId = string;

/** What a node is told on behalf of accounts connected to it, and of its feeds of public channels. */
export type Hint =
  /** A committed entry; `text` is its event frame, encoded once for all. */
  | {
      readonly type: "event";
      readonly to: readonly Address[];
      readonly conversationId: ConversationId;
      readonly seq: number;
      readonly at: number;
      readonly text: string;
      /** The members changed with it: what a node knows of them is out of date. */
      readonly members?: true;
      /** It takes back what was said before it: what a node keeps of that is not sent any more. */
      readonly takesBack?: true;
      /** It ends within a minute, and is not kept. */
      readonly brief?: true;
    }
  /** There may be something up to `seq`: read the log. */
  | {
      readonly type: "doorbell";
      readonly to: readonly Address[];
      readonly conversationId: ConversationId;
      readonly seq: number;
      /** As for an event. */
      readonly members?: true;
    }
  /** The members changed and no entry says so: what the nodes of these accounts know of them is out of date. */
  | {
      readonly type: "members";
      readonly to: readonly AccountId[];
      readonly conversationId: ConversationId;
      /** As for an event. */
      readonly members: true;
    }
  /** A frame that is sent to whoever is there and kept nowhere. */
  | {
      readonly type: "signal";
      readonly to: readonly Address[];
      readonly text: string;
      /** Not to the sockets of this session, which said it. */
      readonly except?: SessionId;
      /** It says what this account has read: nothing for whoever gives no read marks. */
      readonly readBy?: AccountId;
    }
  /** How somebody is seen; a node tells those to whom it is new. Among those it is for is the person. */
  | {
      readonly type: "presence";
      readonly to: readonly AccountId[];
      readonly of: AccountId;
      readonly status: UserStatus;
      /** A day, as `2026-01-31`, or `null`. */
      readonly lastSeen: string | null;
    }
  /** These accounts set something about themselves: look it up again. */
  | { readonly type: "settings"; readonly to: readonly AccountId[] }
  /** Something may have been put into inboxes of these accounts' devices: read them. */
  | { readonly type: "inbox"; readonly to: readonly AccountId[] }
  /** Sessions have ended: their sockets close, with `session_ended` unless it says why else. */
  | {
      readonly type: "end_sessions";
      readonly to: readonly Address[];
      readonly sessionIds: readonly SessionId[];
      readonly reason?: SessionEnd;
    };

/** A hint that the actors of accounts are told, and not the node alone. */
export type AccountHint = Exclude<Hint, { readonly type: "presence" | "members" }>;

/** Whom a signal is not for. */
export type SignalOptions = Pick<Extract<Hint, { type: "signal" }>, "except" | "readBy">;

/** What a node does with what the bus brings it. */
export interface NodeHandlers {
  /** Others published hints to this node. */
  receive(hints: readonly Hint[]): void;
  /** Hints to this node may have been lost before this moment: read the log. */
  doubt(): void;
}

/** How a bus is, as `/health` tells it. */
export type BusStatus = "in_process" | "up" | "down";

/** See the head of this file. */
export interface Bus extends AsyncDisposable {
  readonly status: BusStatus;
  /** False while hints may be getting lost and nobody would notice: compare heads again and again. */
  readonly healthy: boolean;
  /** True while there is no other node, so that nobody need be located or told; absent where that is not known. */
  readonly alone?: boolean;
  /**
   * Joins as a node, once; rejects where a node of that name has joined. Without a way to the others it
   * resolves all the same, and the bus is not `healthy`: a node serves alone rather than not at all.
   */
  join(node: NodeId, handlers: NodeHandlers): Promise<void>;
  /** Says that an account is connected here. Resolves once others can see it; rejects where that is unknown. */
  register(node: NodeId, account: Address): Promise<void>;
  /** Takes that back, however often it was said. Never rejects: others may go on telling this node. */
  unregister(node: NodeId, account: Address): Promise<void>;
  /**
   * The nodes, other than `node`, where each of these accounts is connected. Never from a cache.
   * Where that cannot be found out, the hints count as lost: every other node will doubt.
   */
  locate(node: NodeId, accounts: readonly Address[]): Promise<ReadonlyMap<NodeId, readonly Address[]>>;
  /**
   * Says whether all devices that an account has at a node are away; they are not when it is registered. Returns
   * at once, and never throws: what is lost is said again with the next change.
   */
  setAway(node: NodeId, account: AccountId, away: boolean): void;
  /**
   * How accounts are connected, at any node, the asking one too; who is not is missing, and `away` is who is so
   * at every node. Never from a cache. Rejects where that cannot be found out.
   */
  connected(accounts: readonly AccountId[]): Promise<ReadonlyMap<AccountId, DeviceStatus>>;
  /** Sends hints to one node; returns at once, and never throws: a node that is gone misses nothing. */
  publish(to: NodeId, hints: readonly Hint[]): void;
}
