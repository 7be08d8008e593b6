/** Handing something to the devices of somebody, whether they are connected or not. */
import type { Throttle } from "../accounts/mod.ts";
import type { KeyedHash } from "../platform/keyed_hash.ts";
import type { Rate } from "../platform/rate_limit.ts";
import { DomainError, LIMITS } from "../protocol/mod.ts";
import type { InboxesDeps } from "./deps.ts";
import { type NewInboxEntry, putInInboxes } from "./inbox_store.ts";

/** How often an account may hand something to others. */
export const INBOX_RATES: Readonly<Record<"inbox_account", Rate>> = {
  inbox_account: { perMinute: LIMITS.keyExchangesPerMinute, burst: LIMITS.keyExchangesPerMinute },
};

/** What {@link putInInbox} needs beside the database. */
export interface PutInInboxDeps extends InboxesDeps {
  readonly throttle: Throttle<"inbox_account">;
  /** By which a repetition is known after its bytes are gone. */
  readonly digests: KeyedHash;
}

/** What is put in, whose it is and for whom. */
export type PutInInboxInput = Omit<NewInboxEntry, "digest">;

/** Whether each device has it, or some have no room: the others have it then. The same id again reaches those that lack it. */
export type Reached = "all" | "some";

/**
 * Puts something into the inboxes of the devices where somebody is signed in, or of one session's device; not into that of the
 * sender's own device. The same sender, id and body again is the same.
 *
 * - Whom the other blocks gets the same answers, and nothing of it is kept.
 * - Tell the devices afterwards, whoever sent it: who is blocked shall not be answered sooner.
 *
 * Throws `user_not_found` where there is no such device, `idempotency_conflict`, `id_out_of_window`, and the retryable
 * `rate_limited` and `busy`.
 */
export async function putInInbox(deps: PutInInboxDeps, input: PutInInboxInput): Promise<Reached> {
  await deps.throttle.take(["inbox_account", input.sender.accountId]);
  const digest = deps.digests.digest(input.kind, "\0", input.body);
  const outcome = await putInInboxes(deps.db, { ...input, digest });
  switch (outcome) {
    case "stored":
      return "all";
    case "full":
      return "some";
    case "no_device":
      throw new DomainError("user_not_found");
    case "other_body":
      throw new DomainError("idempotency_conflict");
    case "out_of_window":
      throw new DomainError("id_out_of_window");
    case "busy":
      throw new DomainError("busy");
    default:
      outcome satisfies never;
      throw new Error(`Know what became of it: ${String(outcome)}`);
  }
}
