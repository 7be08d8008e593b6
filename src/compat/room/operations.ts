/** What `/openapi.json` says of the room's contract. */
import { z } from "zod";
import { AccountId, type Operations } from "../../protocol/mod.ts";
import { RoomMessage } from "./frames.ts";

const Token = z.strictObject({
  access_token: z.string(),
  token_type: z.literal("bearer"),
  /** Seconds until it ends. */
  expires_in: z.int().min(0),
});
const Registered = Token.extend({ id: AccountId, username: z.string(), created_at: z.iso.datetime() });
const History = z.strictObject({
  messages: z.array(RoomMessage),
  /** The `before` of the page before this one; `null` at the beginning. */
  previous: z.int().nullable(),
});

const room = { tag: "room", auth: "none" } as const;

/** Its routes. */
export const roomOperations: Operations = {
  "POST /api/auth/register": {
    ...{ ...room, summary: "Make an account for the room and sign in" },
    answers: { 201: Registered },
    errors: ["username_taken", "weak_password", "overloaded"],
  },
  "POST /api/auth/login": {
    ...{ ...room, summary: "Sign in for the room" },
    answers: { 200: Token },
    errors: ["invalid_credentials", "account_disabled", "overloaded"],
  },
  "GET /api/chat/messages": {
    ...{ ...room, auth: "bearer", summary: "Read what was said in the room, the latest page first" },
    answers: { 200: History },
    errors: ["busy"],
  },
  "GET /ws/chat": {
    ...{ ...room, auth: "optional", summary: "Open a socket of the public room" },
    answers: { 101: null },
    errors: ["upgrade_required", "forbidden", "https_required"],
  },
};
