/** The bodies, parameters and answers of the HTTP API (family B of the contracts), under `/api`. */
import { z } from "zod";
import { ChannelFields } from "./channels.ts";
import { ConversationType, Emoji, Encryption, ExpiresIn, MessageContent, Role } from "./content.ts";
import { AccountId, DeviceId, MessageId, SessionId } from "./ids.ts";
import { LIMITS } from "./limits.ts";

const BIDI_OR_CONTROL = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** What is not seen, though it may count as a letter (U+3164); some of it joins emoji and letters, so it is not refused everywhere. */
const UNSEEN = /\p{Default_Ignorable_Code_Point}/u;
/** Scripts whose letters look the same: a name is written in one of them. */
const ALIKE = [/\p{Script=Latin}/u, /\p{Script=Greek}/u, /\p{Script=Cyrillic}/u] as const;

/** A name that people see: NFC, no control and no bidirectional override characters, and not of blanks only. */
export const DisplayName = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .transform((name) => name.normalize("NFC"))
  .refine((name) => !BIDI_OR_CONTROL.test(name), { error: "must hold no control characters" })
  .refine((name) => [...name].some((sign) => !UNSEEN.test(sign) && !/[\s\u2800]/.test(sign)), {
    error: "must be seen",
  })
  .describe("A name that people see");

/**
 * A name to sign in with: 3 to 50 letters, digits, `_`, `-`, `.`; unique without regard to case. Nothing that is not seen,
 * and no mixture of Latin, Greek and Cyrillic, so that most names that look like another are refused (UTS 39 section 5.1).
 */
export const Username = z
  .string()
  .transform((name) => name.normalize("NFC"))
  .refine((name) => /^[\p{L}\p{N}_.-]{3,50}$/u.test(name), {
    error: "must be 3 to 50 letters, digits, _, - or .",
  })
  .refine((name) => !UNSEEN.test(name), { error: "must hold no letters that are not seen" })
  .refine((name) => ALIKE.filter((script) => script.test(name)).length <= 1, {
    error: "must not mix Latin, Greek and Cyrillic letters",
  })
  .describe("A name to sign in with: 3 to 50 letters, digits, `_`, `-` or `.`; unique without regard to case");

/** A password that is sent to be checked. Longer than any that can be chosen, for its other Unicode forms are longer. */
export const TypedPassword = z.string().min(1).max(512);

/** A password to choose: 8 to 128 characters, counted in Unicode's form NFKC, in which it is hashed. */
export const Password = TypedPassword.refine(
  (password) => {
    const { length } = [...password.normalize("NFKC")];
    return length >= LIMITS.passwordLeast && length <= LIMITS.passwordMost;
  },
  { error: `must have ${LIMITS.passwordLeast} to ${LIMITS.passwordMost} characters` },
).describe(`${LIMITS.passwordLeast} to ${LIMITS.passwordMost} characters as Unicode's form NFKC counts them`);

/** An e-mail address, as people type it. */
export const EmailAddress = z.email().max(254);

/** What a device runs on. A short list, so that nobody can be told apart by it. */
export const Platform = z.enum(["android", "ios", "linux", "macos", "windows", "web", "other"]);
/** See {@link Platform}. */
export type Platform = z.infer<typeof Platform>;

/** What shows that a device signed in before. */
export const DeviceToken = z.string().min(1).max(256).describe("The `device_token` of an earlier sign-in");

/** Which device signs in; `device_id` keeps the cursors of one that signs in again. */
const DeviceFields = {
  device_id: DeviceId.optional(),
  device_name: DisplayName.optional(),
  platform: Platform.optional(),
};

/** A public key as PEM, at most 4 KiB; its parsing has codes of its own. */
export const PublicKeyPem = z.string().min(1).max(4_096).describe("A public key as PEM (SubjectPublicKeyInfo)");

/** `POST /api/auth/signup`. */
export const SignUpBody = z.object({
  username: Username,
  email: EmailAddress.optional(),
  password: Password,
  display_name: DisplayName.optional(),
  public_key: PublicKeyPem.optional(),
  device_name: DisplayName.optional(),
  platform: Platform.optional(),
});

/**
 * `POST /api/auth/signin`. `device_id` keeps the cursors of a device that signs in again;
 * `device_token`, from its earlier sign-in, shows that it is no stranger to the account.
 */
export const SignInBody = z
  .object({
    username: z.string().min(1).max(254).optional(),
    email: z.string().min(1).max(254).optional(),
    password: TypedPassword,
    ...DeviceFields,
    device_token: DeviceToken.optional(),
  })
  .refine((body) => (body.username === undefined) !== (body.email === undefined), {
    error: "must hold either username or email",
  });

/** `POST /api/auth/refresh`. */
export const RefreshBody = z.object({ refresh_token: z.string().min(1).max(512) });

/** `POST /api/auth/signout`. */
export const SignOutBody = z.object({ refresh_token: z.string().min(1).max(512).optional() });

/** `POST /api/auth/change-password`. */
export const ChangePasswordBody = z.object({ current_password: TypedPassword, new_password: Password });

/** `POST /api/auth/magic-link` and `POST /api/auth/password-reset`. */
export const AskLinkBody = z.object({ email: EmailAddress });

/** `POST /api/auth/email`; the password is the step-up. */
export const ChangeEmailBody = z.object({ email: EmailAddress, password: TypedPassword });

/** What is after `#token=` in a link that was mailed: 32 bytes as base64url. */
export const LinkToken = z.string().min(1).max(128).describe("What is after `#token=` in the link that was mailed");

/** `POST /api/auth/magic-link/verify`. */
export const MagicLinkBody = z.object({ token: LinkToken, ...DeviceFields });

/** `POST /api/auth/password-reset/verify`. */
export const ResetPasswordBody = z.object({ token: LinkToken, new_password: Password });

/** `POST /api/auth/email/verify`. */
export const VerifyEmailBody = z.object({ token: LinkToken });

/** The answer to whoever asks for a link, whether or not one is sent: how many seconds it would work. */
export const LinkAskedAnswer = z.object({ expires_in: z.int().min(1) });

/** The answer to `POST /api/auth/email/verify`. */
export const EmailAnswer = z.object({ email: EmailAddress, email_verified: z.literal(true) });

/** `DELETE /api/auth/sessions/{session_id}`. */
export const SessionParams = z.object({ session_id: SessionId });

/** `POST /api/conversations`. */
export const CreateConversationBody = z.object({
  conversation_type: ConversationType,
  name: DisplayName.optional(),
  participant_ids: z.array(AccountId).max(LIMITS.participants).default([]),
  encryption: Encryption.optional(),
  /** Seconds until messages expire unless they say so themselves; absent means they are kept. */
  retention_seconds: ExpiresIn.optional(),
  ...ChannelFields,
});

/**
 * `PUT /api/conversations/{id}`. `retention_seconds` is for what comes after it; `null` keeps messages.
 * The same `id` again is the same change.
 */
export const UpdateConversationBody = z
  .object({
    id: MessageId.optional(),
    name: DisplayName.optional(),
    retention_seconds: ExpiresIn.nullable().optional(),
  })
  .refine((body) => body.name !== undefined || body.retention_seconds !== undefined, {
    error: "must hold name or retention_seconds",
  });

/** `PUT /api/conversations/{id}/settings`: the caller's own. */
export const ConversationSettingsBody = z
  .object({
    muted_until: z.iso.datetime().nullable().optional(),
    archived: z.boolean().optional(),
    pinned: z.boolean().optional(),
  })
  .refine((body) => Object.values(body).some((value) => value !== undefined), {
    error: "must hold muted_until, archived or pinned",
  });

/** `PUT /api/conversations/{id}/participants/{user_id}`. The same `id` again is the same change. */
export const SetRoleBody = z.object({ id: MessageId.optional(), role: Role });

/** `GET /api/conversations/{id}/participants`, by user id; `cursor` is the `next` of the page before. */
export const ListParticipantsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: AccountId.optional(),
});

/** `POST /api/conversations/{id}/participants`. */
export const AddParticipantBody = z.object({ user_id: AccountId });

/** `POST /api/conversations/{id}/messages`. Without `id` the server makes one, and a retry is a new message. */
export const PostMessageBody = MessageContent.extend({
  id: MessageId.optional(),
  expires_in: ExpiresIn.optional(),
});

/** `/api/messages/{id}`. */
export const MessageParams = z.object({ id: MessageId });

/** `PUT /api/messages/{id}`: the new content. `id` is the edit's own, as a message has one: with it a retry is known. */
export const EditMessageBody = MessageContent.pick({
  content: true,
  encrypted_content: true,
  encryption_iv: true,
}).extend({
  id: MessageId.optional(),
});

/** `DELETE /api/messages/{id}`: for everybody, or for the caller alone. */
export const DeleteMessageQuery = z.object({ for: z.enum(["all", "me"]).default("all") });

/** `POST /api/messages/{id}/reactions`. */
export const AddReactionBody = z.object({ emoji: Emoji });

/** `DELETE /api/messages/{id}/reactions/{emoji}`. */
export const ReactionParams = z.object({ id: MessageId, emoji: Emoji });

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

/** `GET /api/messages/hidden`: what was hidden after the number `after`, in rising order. */
export const ListHiddenQuery = z.object({
  limit: pageLimit(200, 100),
  after: z.coerce.number().int().min(0).default(0),
});

/**
 * `GET /api/conversations`: newest first; `cursor` is the `next` of the page before. `since` is the `sync` of
 * an earlier list: then only what changed after that.
 */
export const ListConversationsQuery = z.object({
  limit: pageLimit(200, 50),
  cursor: z.string().max(100).optional(),
  since: z
    .string()
    .regex(/^\d{1,14}$/, { error: "must be the sync of an earlier list" })
    .optional(),
});
