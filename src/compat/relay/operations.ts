/** What `/openapi.json` says of the relay contract. */
import { z } from "zod";
import { AccountId, MessageId, type Operations, PublicKeyAnswer, TokensAnswer } from "../../protocol/mod.ts";

const Time = z.iso.datetime();
const User = z.strictObject({
  id: AccountId,
  name: z.string(),
  public_key: z.string().nullable(),
  created_at: Time,
});
const Registered = User.extend({ ...TokensAnswer.shape, password_advice: z.array(z.string()).optional() });
const Sent = z.strictObject({ id: MessageId, recipient_id: AccountId, timestamp: Time, expires_at: Time.nullable() });
const Inbox = z.strictObject({
  messages: z.array(
    Sent.extend({ sender_id: AccountId, encrypted_data: z.string().nullable(), delivered: z.literal(false) }),
  ),
  next: z.string().nullable(),
});
const Delivered = z.strictObject({ id: MessageId, delivered: z.literal(true) });

const relay = { tag: "relay", auth: "bearer" } as const;

/** Its routes. */
export const relayOperations: Operations = {
  "POST /register": {
    ...{ ...relay, auth: "none", summary: "Make an account with its public key" },
    answers: { 201: Registered },
    errors: ["username_taken", "bad_public_key", "private_key_refused", "overloaded"],
  },
  "POST /login": {
    ...{ ...relay, auth: "none", summary: "Sign in, with JSON or a form" },
    answers: { 200: TokensAnswer },
    errors: ["invalid_credentials", "account_disabled", "overloaded"],
  },
  "GET /me": { ...relay, summary: "Show the caller's account", answers: { 200: User } },
  "GET /public-key/{user_id}": {
    ...{ ...relay, summary: "Show an account's current public key" },
    answers: { 200: PublicKeyAnswer },
    errors: ["not_found"],
  },
  "PUT /update-key": {
    ...{ ...relay, summary: "Replace the caller's public key; its peers are told" },
    answers: { 200: PublicKeyAnswer.extend({ changed: z.boolean() }) },
    errors: ["bad_public_key", "private_key_refused", "key_reused", "busy", "overloaded"],
  },
  "POST /messages": {
    ...{ ...relay, summary: "Send ciphertext to an account" },
    headers: { "Idempotency-Key": "Makes it safe to repeat: the same key with the same body is one message for a day" },
    answers: { 201: Sent },
    errors: ["user_not_found", "idempotency_conflict", "conflict", "busy", "overloaded"],
  },
  "GET /messages": {
    ...{ ...relay, summary: "List what was not confirmed as delivered, oldest first" },
    answers: { 200: Inbox },
  },
  "PUT /messages/{id}/delivered": {
    ...{ ...relay, summary: "Confirm that a message was delivered" },
    answers: { 200: Delivered },
    errors: ["not_found"],
  },
};
