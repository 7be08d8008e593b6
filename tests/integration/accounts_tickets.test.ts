/** One-time tickets for sockets [AUTH-1, AUTH-3]. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { redeemTicket } from "../../src/accounts/mod.ts";
import { LIMITS } from "../../src/protocol/mod.ts";
import { type Edge, signUpSomebody, startEdge } from "../support/edge_server.ts";

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge[Symbol.asyncDispose]());

const ticketFor = async (token: string) =>
  (await edge.request("POST", "/api/auth/ws-ticket", { token, body: {} })).json;
const refused = { code: "unauthorized" };

test("redeemTicket() gives whom the ticket was for, and for how long [AUTH-3]", async () => {
  const somebody = await signUpSomebody(edge);
  const { ticket, expires_in } = await ticketFor(somebody.access_token);
  expect(expires_in).toBe(30);
  const caller = await redeemTicket(edge.accounts, ticket);
  expect(caller as object).toMatchObject({
    accountId: somebody.user.id,
    sessionId: somebody.session_id,
    deviceId: somebody.device_id,
  });
  expect(caller.expiresAt - edge.clock.now()).toBeGreaterThan(29 * 60_000);
  await expect(redeemTicket(edge.accounts, ticket)).rejects.toMatchObject(refused);
});

test("of a hundred that redeem one ticket at once one wins [AUTH-3]", async () => {
  const somebody = await signUpSomebody(edge);
  const { ticket } = await ticketFor(somebody.access_token);
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => redeemTicket(edge.accounts, ticket)));
  expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
});

test("a ticket ends after 30 s [AUTH-3], and is swept with the session's next one", async () => {
  const somebody = await signUpSomebody(edge);
  const late = await ticketFor(somebody.access_token);
  edge.clock.advance(LIMITS.ticketMs);
  await expect(redeemTicket(edge.accounts, late.ticket)).rejects.toMatchObject(refused);
  for (let i = 0; i < 3; i++) await ticketFor(somebody.access_token);
  edge.clock.advance(LIMITS.ticketMs);
  await ticketFor(somebody.access_token);
  const rows = await edge.db.query("select 1 from socket_tickets where session = $1", [somebody.session_id]);
  expect(rows).toHaveLength(1);
});

test("only hashes of tickets are stored", async () => {
  const somebody = await signUpSomebody(edge);
  const { ticket } = await ticketFor(somebody.access_token);
  const rows = await edge.db.query<{ hash: Buffer }>("select hash from socket_tickets where session = $1", [
    somebody.session_id,
  ]);
  expect(rows.map((row) => row.hash.toString("base64url"))).not.toContain(ticket);
});

test("texts that are no tickets are refused", async () => {
  for (const text of [
    "",
    "x",
    randomBytes(32).toString("base64url"),
    "é".repeat(43),
    "A".repeat(10_000),
    "' or 1=1 --",
  ]) {
    await expect(redeemTicket(edge.accounts, text)).rejects.toMatchObject(refused);
  }
});
