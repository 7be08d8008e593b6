/** The bodies and parameters of the HTTP API that are about people: profiles, blocks, sealed keys, leaving. */
import { z } from "zod";
import { LIMITS } from "./limits.ts";
import { DisplayName, TypedPassword } from "./rest.ts";

/** How somebody says they are. */
export const UserStatus = z.enum(["online", "away", "offline", "dnd"]);
/** See {@link UserStatus}. */
export type UserStatus = z.infer<typeof UserStatus>;

/** How a device says that its person is: at it, or not. */
export const DeviceStatus = z.enum(["online", "away"]);
/** See {@link DeviceStatus}. */
export type DeviceStatus = z.infer<typeof DeviceStatus>;

/** Whom status and last seen are shown to. A contact shares a dm or a group of at most 100, and neither blocks the other. */
export const LastSeenTo = z.enum(["everybody", "contacts", "nobody"]);
/** See {@link LastSeenTo}. */
export type LastSeenTo = z.infer<typeof LastSeenTo>;

/** `PUT /api/users/{id}`: what is absent stays as it is. */
export const UpdateUserBody = z.strictObject({
  display_name: DisplayName.nullable().optional(),
  status: UserStatus.optional(),
  privacy: z
    .strictObject({
      last_seen: LastSeenTo.optional(),
      findable: z.boolean().optional(),
      /** False: neither gives nor gets read marks. */
      read_receipts: z.boolean().optional(),
    })
    .optional(),
});

const limit = z.coerce.number().int().min(1).max(100).default(20);

/** `GET /api/users`: `q` is the beginning of a name; none lists everybody who lets themselves be found. */
export const ListUsersQuery = z.object({
  q: z.string().trim().max(100).default(""),
  limit,
  cursor: z.string().max(800).optional(),
});

/** `GET /api/blocks`: the latest first; `cursor` is the `next` of the page before. */
export const ListBlocksQuery = z.object({ limit, cursor: z.string().max(100).optional() });

/** `PUT /api/users/{id}/private-key`: whatever the client made of its key; the server cannot read it. */
export const PrivateKeyBody = z.strictObject({
  private_key_encrypted: z
    .string()
    .min(1)
    .max(LIMITS.privateKeyChars)
    // The database holds neither, and the client is to get back what it gave.
    .refine((blob) => blob.isWellFormed() && !blob.includes("\0"), { error: "must be text without U+0000" }),
});

/** `POST /api/auth/export` and `POST /api/auth/delete-account`: the password again. */
export const StepUpBody = z.strictObject({ password: TypedPassword });
