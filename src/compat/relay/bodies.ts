/** The bodies and parameters of the relay contract. */
import { z } from "zod";
import {
  AccountId,
  DeviceId,
  DeviceToken,
  DisplayName,
  LIMITS,
  MessageId,
  Password,
  Platform,
  PublicKeyPem,
  TypedPassword,
  Username,
} from "../../protocol/mod.ts";

/** `POST /register`. */
export const RegisterBody = z.object({ name: Username, password: Password, public_key: PublicKeyPem });

/** `POST /login`, as JSON or as a form; `username` is what the OAuth 2 password form calls it. */
export const LoginBody = z
  .object({
    name: z.string().min(1).max(254).optional(),
    username: z.string().min(1).max(254).optional(),
    password: TypedPassword,
    device_id: DeviceId.optional(),
    device_name: DisplayName.optional(),
    platform: Platform.optional(),
    device_token: DeviceToken.optional(),
  })
  .refine((body) => (body.name === undefined) !== (body.username === undefined), {
    error: "must hold either name or username",
  });

/** `POST /messages`. Whether the data is base64 and how long it is has refusals of its own. */
export const SendBody = z.object({ recipient_id: AccountId, encrypted_data: z.string().min(1) });

/** `GET /messages`; `cursor` is the `next` of the page before. */
export const InboxQuery = z.object({
  limit: z.coerce.number().int().min(1).max(LIMITS.pageEvents).default(50),
  cursor: z.string().max(100).optional(),
});

/** `PUT /messages/{id}/delivered`. */
export const MessageParams = z.object({ id: MessageId });

/** `GET /public-key/{user_id}`. */
export const UserParams = z.object({ user_id: AccountId });

/** `PUT /update-key`. */
export const UpdateKeyBody = z.object({ public_key: PublicKeyPem });
