import type { AccountDeps, Principal } from "../../accounts/mod.ts";
import type { ConversationsDeps, Delivery } from "../../conversations/mod.ts";
import type { KeysDeps, PublicKeyAnswer } from "../../keys/mod.ts";
import type { AccountId, SessionId } from "../../protocol/mod.ts";

/** What app.ts passes in. */
export interface RelayContext {
  readonly accounts: AccountDeps;
  readonly keys: KeysDeps;
  readonly conversations: ConversationsDeps;
  readonly authenticate: (request: Request) => Promise<Principal>;
  readonly addressOf: (request: Request) => string;
  /** Closes the sockets of sessions that have ended. */
  readonly endSessions: (accountId: AccountId, sessionIds: readonly SessionId[]) => void;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
  /** Tells an account's peers of its current key, those who were not told yet. */
  readonly announceKey: (key: PublicKeyAnswer) => Promise<void>;
}
