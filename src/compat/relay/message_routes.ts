/** The routes of the relay contract that carry messages. */
import { Elysia } from "elysia";
import { confirmDelivered, listUndelivered } from "../../conversations/mod.ts";
import { type AccountId, type LogEntry, MessageId, readPagePlace, writePagePlace } from "../../protocol/mod.ts";
import { InboxQuery, MessageParams, SendBody } from "./bodies.ts";
import type { RelayContext } from "./context.ts";
import { sendRelayMessage } from "./send_relay_message.ts";

/** `POST /messages`, `GET /messages` and `PUT /messages/{id}/delivered`. */
export function relayMessageRoutes(context: RelayContext) {
  const { conversations, authenticate } = context;
  return new Elysia({ name: "relay messages" })
    .post(
      "/messages",
      async ({ body, request, set }) => {
        const caller = await authenticate(request);
        const entry = await sendRelayMessage(context, {
          senderId: caller.accountId,
          recipientId: body.recipient_id,
          encryptedData: body.encrypted_data,
          idempotencyKey: request.headers.get("idempotency-key"),
        });
        set.status = 201;
        return { id: entry.id, recipient_id: body.recipient_id, ...timesOf(entry) };
      },
      { body: SendBody },
    )
    .get(
      "/messages",
      async ({ query, request }) => {
        const { accountId } = await authenticate(request);
        const behind = readPagePlace(query.cursor, MessageId);
        const { entries, next } = await listUndelivered(conversations, { accountId, behind, limit: query.limit });
        const messages = entries.map((entry) => messageAnswer(entry, accountId));
        return { messages, next: writePagePlace(next) };
      },
      { query: InboxQuery },
    )
    .put(
      "/messages/:id/delivered",
      async ({ params, request }) => {
        const { accountId } = await authenticate(request);
        await confirmDelivered(conversations, { accountId, id: params.id });
        return { id: params.id, delivered: true };
      },
      { params: MessageParams },
    );
}

function messageAnswer(entry: LogEntry, recipientId: AccountId) {
  return {
    id: entry.id,
    sender_id: entry.senderId,
    recipient_id: recipientId,
    encrypted_data: entry.kind === "message" ? entry.content.encrypted_content : null,
    ...timesOf(entry),
    delivered: false,
  };
}

function timesOf(entry: LogEntry) {
  return {
    timestamp: new Date(entry.createdAt).toISOString(),
    expires_at: entry.expiresAt === null ? null : new Date(entry.expiresAt).toISOString(),
  };
}
