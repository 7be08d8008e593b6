/**
 * Blocking somebody. In a dm, what they say is from then on withheld: the log gives it its place and
 * its sender the receipt, as always, and the sender alone ever sees it (0024). In groups nothing changes; clients hide.
 */
import { type AccountId, DomainError, LIMITS, type PagePlace } from "../protocol/mod.ts";
import { type ChangedDm, deleteBlock, insertBlock, listBlocks } from "./blocks_store.ts";
import type { PeopleDeps } from "./deps.ts";

/** A dm in which nodes must look again who is told what. */
export type WithheldChange = ChangedDm;

/** Who blocks whom. */
interface BlockInput {
  readonly blockerId: AccountId;
  readonly blockedId: AccountId;
}

/**
 * Blocks somebody; again is the same. Throws `user_not_found`, `too_many_blocked`, `bad_request` for
 * oneself; retryable `busy`.
 */
export async function blockUser(deps: PeopleDeps, input: BlockInput): Promise<readonly WithheldChange[]> {
  const { blockerId: blocker, blockedId: blocked } = input;
  if (blocker === blocked) {
    throw new DomainError("bad_request", { details: { fields: { id: "must be somebody else" } } });
  }
  const changed = await insertBlock(deps.db, { blocker, blocked, now: deps.clock.now(), most: LIMITS.blocks });
  if (changed === "too_many") throw new DomainError("too_many_blocked", { details: { most: LIMITS.blocks } });
  if (changed === "no_account") throw new DomainError("user_not_found");
  if (changed === "busy") throw new DomainError("busy");
  return changed;
}

/** Ends a block; also where there is none. What was withheld stays so. Retryable `busy`. */
export async function unblockUser(deps: PeopleDeps, input: BlockInput): Promise<readonly WithheldChange[]> {
  const changed = await deleteBlock(deps.db, { blocker: input.blockerId, blocked: input.blockedId });
  if (changed === "busy") throw new DomainError("busy");
  return changed;
}

/** Somebody who is blocked, as the blocker sees them. */
export interface BlockedUser {
  readonly id: AccountId;
  readonly username: string;
  readonly display_name: string | null;
  /** ISO 8601, UTC. */
  readonly blocked_at: string;
}

/** A page of whom somebody blocks, the latest first. */
export interface BlockedPage {
  readonly users: readonly BlockedUser[];
  readonly next: PagePlace<AccountId> | null;
}

/** Whom an account blocks. */
export async function listBlocked(
  deps: PeopleDeps,
  input: { readonly accountId: AccountId; readonly behind: PagePlace<AccountId> | null; readonly limit: number },
): Promise<BlockedPage> {
  const found = await listBlocks(deps.db, input.accountId, input.behind, input.limit + 1);
  const page = found.slice(0, input.limit);
  const last = page.at(-1);
  return {
    users: page.map(({ id, username, displayName, at }) => ({
      id,
      username,
      display_name: displayName,
      blocked_at: at.toISOString(),
    })),
    next: found.length > page.length && last !== undefined ? { at: last.at.getTime(), id: last.id } : null,
  };
}
