/** What the routes of this slice are given. */
import type { Principal } from "../accounts/mod.ts";
import type { AccountId, ServerFrame } from "../protocol/mod.ts";
import type { ConversationsDeps, Delivery, Doorbell } from "./deps.ts";

/** Hands on what a change of members gave. */
export function tell(context: ConversationRoutesContext, told: Delivery | Doorbell): void {
  if ("entry" in told) context.deliver(told);
  else context.knock(told);
}

/** What app.ts passes in. */
export interface ConversationRoutesContext {
  readonly conversations: ConversationsDeps;
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
  /** Tells who came to a channel or left it, and other nodes: the log does not. */
  readonly knock: (doorbell: Doorbell) => void;
  /** Sends a frame to whoever of these is connected; it is kept nowhere. */
  readonly signal: (to: readonly AccountId[], frame: ServerFrame) => void;
}
