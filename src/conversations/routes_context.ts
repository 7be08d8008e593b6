/** What the routes of this slice are given. */
import type { Principal } from "../accounts/mod.ts";
import type { AccountId, ServerFrame } from "../protocol/mod.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";

/** What app.ts passes in. */
export interface ConversationRoutesContext {
  readonly conversations: ConversationsDeps;
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
  /** Sends a frame to whoever of these is connected; it is kept nowhere. */
  readonly signal: (to: readonly AccountId[], frame: ServerFrame) => void;
}
