/** The bodies, parameters and answers of the HTTP API (family B of the contracts), under `/api`. */
import { z } from "zod";
import { ConversationType, Encryption, ExpiresIn, MessageContent } from "./content.ts";
import { AccountId, DeviceId, MessageId } from "./ids.ts";
import { LIMITS } from "./limits.ts";

const BIDI_OR_CONTROL = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** A name that people see: NFC, no control and no bidirectional override characters. */
export const DisplayName = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .transform((name) => name.normalize("NFC"))
  .refine((name) => !BIDI_OR_CONTROL.test(name), { error: "must hold no control characters" });

/** A name to sign in with: 3 to 50 letters, digits, `_`, `-`, `.`; unique without regard to case. */
export const Username = z
  .string()
  .transform((name) => name.normalize("NFC"))
  .refine((name) => /^[\p{L}\p{N}_.-]{3,50}$/u.test(name), {
    error: "must be 3 to 50 letters, digits, _, - or .",
  });

/** A password as it is sent: 8 to 128 characters. */
export const Password = z.string().min(8).max(128);

/** A public key as PEM, at most 4 KiB; its parsing has codes of its own. */
export const PublicKeyPem = z.string().min(1).max(4_096);

/** `POST /api/auth/signup`. */
export const SignUpBody = z.object({
  username: Username,
  email: z.email().max(254).optional(),
  password: Password,
  display_name: DisplayName.optional(),
  public_key: PublicKeyPem.optional(),
});

/** `POST /api/auth/signin`. `device_id` keeps the cursors of a device that signs in again. */
export const SignInBody = z
  .object({
    username: z.string().min(1).max(254).optional(),
    email: z.string().min(1).max(254).optional(),
    password: z.string().min(1).max(128),
    device_id: DeviceId.optional(),
    device_name: DisplayName.optional(),
  })
  .refine((body) => (body.username === undefined) !== (body.email === undefined), {
    error: "must hold either username or email",
  });

/** `POST /api/auth/refresh`. */
export const RefreshBody = z.object({ refresh_token: z.string().min(1).max(512) });

/** `POST /api/auth/signout`. */
export const SignOutBody = z.object({ refresh_token: z.string().min(1).max(512).optional() });

/** `POST /api/conversations`. */
export const CreateConversationBody = z.object({
  conversation_type: ConversationType,
  name: DisplayName.optional(),
  participant_ids: z.array(AccountId).max(LIMITS.participants),
  encryption: Encryption.optional(),
  /** Seconds until messages expire unless they say so themselves; absent means they are kept. */
  retention_seconds: ExpiresIn.optional(),
});

/** `POST /api/conversations/{id}/participants`. */
export const AddParticipantBody = z.object({ user_id: AccountId });

/** `POST /api/conversations/{id}/messages`. Without `id` the server makes one, and a retry is a new message. */
export const PostMessageBody = MessageContent.extend({
  id: MessageId.optional(),
  expires_in: ExpiresIn.optional(),
});

const pageLimit = (most: number, standard: number) => z.coerce.number().int().min(1).max(most).default(standard);

/**
 * `GET /api/conversations/{id}/messages`. `after_seq` pages forward, `before_seq` backward
 * (newest page first); neither means the newest page. Entries are always in rising order.
 */
export const ListMessagesQuery = z
  .object({
    limit: pageLimit(LIMITS.pageEvents, 50),
    after_seq: z.coerce.number().int().min(0).optional(),
    before_seq: z.coerce.number().int().min(1).optional(),
  })
  .refine((query) => query.after_seq === undefined || query.before_seq === undefined, {
    error: "must hold after_seq or before_seq, not both",
  });

/** `GET /api/conversations`: newest first; `cursor` is the `next` of the page before. */
export const ListConversationsQuery = z.object({
  limit: pageLimit(200, 50),
  cursor: z.string().max(100).optional(),
});
