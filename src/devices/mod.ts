/**
 * Inboxes of devices: what is for one device alone, as a key that another device hands to it, kept until it says
 * that it has it. Owns the tables `device_inboxes` and `device_inbox`.
 *
 * - What is put in is stored before its sender is answered, once for each device and id.
 * - An inbox has an order of its own; nothing in it can be read by the server.
 * - Bounded: entries and bytes of a device, and of each sender in it; what is not fetched in thirty days goes.
 * - It stays with the device when a session ends; nothing new comes until somebody signs in on it again.
 *
 * Lifecycle: nothing to open or close; {@link purgeInboxes} now and then. It has no routes: all of it travels by socket.
 * May import protocol, platform, keys and accounts.
 */
export type { InboxesDeps } from "./deps.ts";
export type { InboxEntry, InboxKind, InboxPlace } from "./inbox_store.ts";
export { INBOX_RATES, type PutInInboxDeps, type PutInInboxInput, putInInbox, type Reached } from "./put_in_inbox.ts";
export { acknowledgeInbox, purgeInboxes, readInboxes } from "./read_inboxes.ts";
