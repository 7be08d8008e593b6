/** The bodies and parameters of the room's contract. */
import { z } from "zod";
import { Password, TypedPassword } from "../../protocol/mod.ts";

/** Entries of a history page that are asked for at most. */
export const MOST_MESSAGES = 200;

const RoomUsername = z
  .string()
  .transform((name) => name.normalize("NFC"))
  .refine((name) => /^[\p{L}\p{N}_-]{3,50}$/u.test(name), { error: "must be 3 to 50 letters, digits, _ or -" });

/** `POST /api/auth/register`. What the password must hold beside its length has a refusal of its own. */
export const RegisterBody = z.object({ username: RoomUsername, password: Password });

/** `POST /api/auth/login`. */
export const LoginBody = z.object({ username: z.string().min(1).max(254), password: TypedPassword });

/** `GET /api/chat/messages`; `before` is the `previous` of the page after. */
export const HistoryQuery = z.object({
  limit: z.coerce.number().int().min(1).max(MOST_MESSAGES).default(50),
  before: z.coerce.number().int().min(1).optional(),
});
