import type { AccountId, DeviceId, SessionId } from "../protocol/mod.ts";

/** Who a request or a socket speaks for: what a valid access token or ticket says. */
export interface Principal {
  readonly accountId: AccountId;
  readonly sessionId: SessionId;
  readonly deviceId: DeviceId;
  /** When the access token ends, in milliseconds since the epoch; a socket ends then too. */
  readonly expiresAt: number;
}
