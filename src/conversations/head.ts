/** A conversation as a node knows it. `heads.ts` keeps them. */
import type { AccountId, ConversationId, ConversationType, Encryption, Role } from "../protocol/mod.ts";

/** A member as the node knows it. */
export interface Member {
  readonly role: Role;
  readonly joinedSeq: number;
  readonly canSend: boolean;
}

/** A conversation as the node knows it. */
export interface Head {
  readonly id: ConversationId;
  readonly type: ConversationType;
  readonly encryption: Encryption;
  readonly retentionSeconds: number | null;
  readonly membersVersion: number;
  readonly members: ReadonlyMap<AccountId, Member>;
  /**
   * Of a dm: who is not given what the other says, or was not, having blocked them (0024), and up to
   * which seq: infinity while the block lasts.
   */
  readonly withheldUpTo: ReadonlyMap<AccountId, number>;
  /** Of a channel: whether anybody may read it. Then its own id is an address that its feeds register at. */
  readonly isPublic: boolean;
  /** The wrapped data key of a `server` conversation. */
  readonly dataKey: Uint8Array | null;
}
