/**
 * Family A of the contracts, "relay": ciphertext in, ciphertext out, kept for seven days. Thin
 * adapters on accounts, keys and conversations; a message to somebody is a message in the `opaque`
 * dm of the two that has this retention.
 *
 * Owns the table `relay_requests`: which message an Idempotency-Key stands for.
 * May import protocol, platform and the slices' mod.ts.
 */

export { relayOperations } from "./operations.ts";
export { type RelayContext, relayBodyRules, relayRoutes } from "./routes.ts";
