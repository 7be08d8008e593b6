/**
 * Identifiers. Every id on the wire is a lower-case UUID; ids made by Sotto are
 * UUIDv7 (RFC 9562 section 5.7), so they sort by the time they were made.
 *
 * The brands keep an account's id from being passed where a conversation's is meant;
 * they exist in types only.
 */
import { z } from "zod";

/** A lower-case UUID of RFC 9562. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** `means` is what descriptions of the API say of it. */
const uuidText = (means: string) =>
  z.string().regex(UUID, { error: "must be a lower-case UUID" }).meta({ format: "uuid", description: means });

/** The id of an account, on the wire `user_id` or `sender_id`. */
export const AccountId = uuidText("An account").brand<"AccountId">();
/** See {@link AccountId}. */
export type AccountId = z.infer<typeof AccountId>;

/** The id of a device: what holds acknowledgement cursors. */
export const DeviceId = uuidText("A device").brand<"DeviceId">();
/** See {@link DeviceId}. */
export type DeviceId = z.infer<typeof DeviceId>;

/** The id of a session: one sign-in on one device. */
export const SessionId = uuidText("A session").brand<"SessionId">();
/** See {@link SessionId}. */
export type SessionId = z.infer<typeof SessionId>;

/** The id of a conversation. */
export const ConversationId = uuidText("A conversation").brand<"ConversationId">();
/** See {@link ConversationId}. */
export type ConversationId = z.infer<typeof ConversationId>;

/** The id of an event in a conversation's log, made by its sender: always a UUIDv7. */
export const MessageId = uuidText("A UUIDv7, made by the sender at the first attempt")
  .refine((id) => id[14] === "7", { error: "must be a UUIDv7" })
  .brand<"MessageId">();
/** See {@link MessageId}. */
export type MessageId = z.infer<typeof MessageId>;

/** The id of a report to administrators, made by whoever reports: a UUIDv7. */
export const ReportId = uuidText("A report; a UUIDv7, made by whoever reports")
  .refine((id) => id[14] === "7", { error: "must be a UUIDv7" })
  .brand<"ReportId">();
/** See {@link ReportId}. */
export type ReportId = z.infer<typeof ReportId>;

/**
 * Makes a UUIDv7 from a time and randomness (RFC 9562 section 5.7).
 * `unixMs`: milliseconds since the epoch. `random`: at least 10 bytes.
 */
export function uuidv7(
  unixMs: number = Date.now(),
  random: Uint8Array = crypto.getRandomValues(new Uint8Array(10)),
): string {
  const time = Math.floor(unixMs).toString(16).padStart(12, "0");
  let tail = "";
  for (let i = 0; i < 10; i++) {
    let byte = random[i] ?? 0;
    if (i === 0) byte = (byte & 0x0f) | 0x70; // version 7
    if (i === 2) byte = (byte & 0x3f) | 0x80; // variant
    tail += byte.toString(16).padStart(2, "0");
  }
  return `${time.slice(0, 8)}-${time.slice(8)}-${tail.slice(0, 4)}-${tail.slice(4, 8)}-${tail.slice(8)}`;
}

/** Makes a message id for a first attempt; a retry repeats the id of the first. */
export function newMessageId(unixMs: number = Date.now()): MessageId {
  return uuidv7(unixMs) as MessageId;
}

/** The time inside a UUIDv7, in milliseconds since the epoch. */
export function timeOfId(id: MessageId): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
