/** What `/asyncapi.json` says of `/ws/chat`. */
import { z } from "zod";
import {
  CLOSE_NOTES,
  type ClientFrameNote,
  type CloseReason,
  COMMON_CLIENT_NOTES,
  COMMON_SERVER_NOTES,
  type FrameNote,
  SOCKET_ANSWERS,
  type SocketDescription,
} from "../../protocol/mod.ts";
import { PresenceFrame, RoomClientFrame, RoomMessageFrame, StoredFrame } from "./frames.ts";

const RoomServerFrame = z.discriminatedUnion("type", [...SOCKET_ANSWERS, RoomMessageFrame, StoredFrame, PresenceFrame]);

const username = "john";
const timestamp = "2026-01-31T09:30:00.000Z";

const CLIENT_NOTES: Readonly<Record<z.infer<typeof RoomClientFrame>["type"], ClientFrameNote>> = {
  ...COMMON_CLIENT_NOTES,
  message: {
    summary: "Say something to everybody; it is shown to you too once it is stored",
    example: { type: "message", content: "Hello, everybody" },
    answers: ["message"],
    errors: [
      ...(["conflict", "idempotency_conflict", "id_out_of_window", "payload_too_large"] as const),
      ...(["out_of_order", "too_many_in_flight", "busy"] as const),
    ],
  },
};

const SERVER_NOTES: Readonly<Record<z.infer<typeof RoomServerFrame>["type"], FrameNote>> = {
  ...COMMON_SERVER_NOTES,
  message: {
    summary: "Somebody said something, perhaps you; it is stored",
    example: {
      ...{ type: "message", id: "0198f3a2-6d2f-7e51-8c2a-3a7b8d4e5f61", username, content: "Hello, everybody" },
      timestamp,
    },
  },
  stored: {
    summary: "The answer to a message that was stored before under the same `id`: nobody is shown it again",
    example: { type: "stored", ref: 1, id: "0198f3a2-6d2f-7e51-8c2a-3a7b8d4e5f61" },
  },
  join: {
    summary: "Somebody came, from wherever they were not before",
    example: { type: "join", username, timestamp },
  },
  leave: { summary: "Somebody is gone from everywhere", example: { type: "leave", username, timestamp } },
};

/** What is of other sockets only. */
const NOT_HERE: ReadonlySet<string> = new Set<CloseReason>(["unacknowledged", "channel_gone"]);

/** The room's socket. */
export const roomSocket: SocketDescription = {
  name: "room",
  addresses: { "/ws/chat": "The public room" },
  summary: "One room for everybody: what is said is shown to all, once, in one order",
  query: {
    token:
      "A one-time ticket from `POST /api/auth/ws-ticket`, in place of a header or a first frame; an access token only with `ALLOW_QUERY_TOKEN`",
  },
  auth: "bearer",
  client: { schema: RoomClientFrame, notes: CLIENT_NOTES },
  server: { schema: RoomServerFrame, notes: SERVER_NOTES },
  closes: (Object.keys(CLOSE_NOTES) as CloseReason[]).filter((reason) => !NOT_HERE.has(reason)),
};
