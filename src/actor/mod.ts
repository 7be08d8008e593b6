/**
 * The generic actor runtime; it knows nothing of chat.
 *
 * Owns: mailboxes, turns, the life of actors (started once, restarted when they throw,
 * stopped when idle, drained). Everything runs on the one thread of the process; an actor
 * never waits, it starts work and is told the outcome.
 */
export * from "./actor.ts";
export * from "./mailbox.ts";
export * from "./registry.ts";
export * from "./scheduler.ts";
