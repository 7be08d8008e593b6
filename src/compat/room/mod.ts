/**
 * Family C of the contracts, "chat room": one public room that everybody who is signed in reads and
 * writes, with everything that was said before they came. Its messages are those of one channel's log,
 * encrypted at rest by the server; its sockets are an annex of the hub.
 *
 *   hall (sockets) ─▶ speaker ─▶ conversations ─▶ spine ─▶ tail ─▶ hall
 *   hall ─▶ roster ◀─▶ the rosters of other nodes
 *
 * Owns: the channel and its keeper, an account of the server's own (`keeper`); no table.
 * Lifecycle: {@link openRoom} after the hub; dispose of it before the hub.
 * May import protocol, platform, the slices' mod.ts and realtime/mod.ts.
 */
export { ROOM } from "./keeper.ts";
export { type OpenRoomOptions, openRoom } from "./open_room.ts";
export { roomOperations } from "./operations.ts";
export { type Room, type RoomContext, roomRoutes } from "./routes.ts";
export { roomSocket } from "./sockets.ts";
