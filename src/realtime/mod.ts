/**
 * The spine. A frame travels through these files in this order, and what it causes travels back:
 *
 *   bun_socket -> session -> user_actor -> dispatch -> (conversations) -> router -> bus
 *   bus -> router -> user_actor -> feed -> session -> bun_socket
 *
 * What is for one device alone takes the same way, and goes by `inbox` in the place of `feed`.
 * The bus is in memory (`bus_memory`) or in Redis (`bus_redis`: `directory`, `peers`, `bus_messages`).
 * Sockets of another protocol than SPEC.md are an `annex`.
 * Who reads a public channel without an account has `public_feeds` -> `public_feed` -> `public_socket`.
 * What the bus may lose, `head_watch` makes every socket look for, and `session_watch` the whole node.
 *
 * Owns: the sockets of this node, one actor for each connected account, and nothing that must last.
 *
 * - Whatever is lost here is found in the log: an actor, a socket or a hint may vanish at any time.
 * - Everything runs on one thread; what belongs to an actor is touched by that actor only.
 *
 * May import: protocol, platform, actor, and the slices' doors.
 */
export type { Annex, AnnexPorts } from "./annex.ts";
export {
  type SocketData,
  type SocketRoutesContext,
  socketHandlers,
  socketRoutes,
  type UpgradeContext,
  upgradeSocket,
} from "./bun_socket.ts";
export type { Bus, BusStatus, Hint, NodeHandlers, NodeId } from "./bus.ts";
export { MemoryBus } from "./bus_memory.ts";
export { RedisBus, type RedisBusOptions } from "./bus_redis.ts";
export { dispatch } from "./dispatch.ts";
export { Feed } from "./feed.ts";
export type { FeedHost, Generation } from "./feed_host.ts";
export { type Hub, openHub } from "./hub.ts";
export type { HubObserver, HubOptions, Inboxes } from "./hub_options.ts";
export { KeptEvents } from "./kept_events.ts";
export type { Session } from "./session.ts";
export type { Stage } from "./stage_times.ts";
