/**
 * One-time tickets for sockets, where a browser cannot send a header [AUTH-1, AUTH-3]. A ticket is
 * 256 random bits; only its hash is stored, in the database, so that any node can redeem it.
 */
import { createHash, randomBytes } from "node:crypto";
import { DomainError, LIMITS } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import type { Principal } from "./principal.ts";
import { insertTicket, takeTicket } from "./tickets_store.ts";

/** The answer to `POST /api/auth/ws-ticket`. */
export interface TicketAnswer {
  readonly ticket: string;
  /** Seconds until it ends. */
  readonly expires_in: number;
}

const TICKET_BYTES = 32;
const TICKET_TEXT = /^[A-Za-z0-9_-]{43}$/;

/** Makes a ticket for the caller's session. */
export async function createTicket(deps: AccountDeps, input: { readonly caller: Principal }): Promise<TicketAnswer> {
  await deps.throttle.take(["ticket_account", input.caller.accountId]);
  const ticket = randomBytes(TICKET_BYTES).toString("base64url");
  const now = deps.clock.now();
  await insertTicket(deps.db, {
    hash: hashOf(ticket),
    sessionId: input.caller.sessionId,
    now,
    expiresAt: now + LIMITS.ticketMs,
    tokenExpiresAt: input.caller.expiresAt,
  });
  return { ticket, expires_in: LIMITS.ticketMs / 1_000 };
}

/** Redeems a ticket, once. Throws `unauthorized` for one that is unknown, used or late, or whose session ended. */
export async function redeemTicket(deps: AccountDeps, ticket: string): Promise<Principal> {
  const caller = TICKET_TEXT.test(ticket) ? await takeTicket(deps.db, hashOf(ticket), deps.clock.now()) : undefined;
  if (caller === undefined) throw new DomainError("unauthorized");
  return caller;
}

function hashOf(ticket: string): Buffer {
  return createHash("sha256").update(ticket).digest();
}
