import type { DeviceId, Platform, SessionId } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import type { Principal } from "./principal.ts";
import { listSessionsOf } from "./session_lists_store.ts";

/** A session as its owner sees it. */
export interface SessionAnswer {
  readonly id: SessionId;
  readonly device_id: DeviceId;
  /** What the device called itself when it signed in. */
  readonly device_name: string | null;
  readonly platform: Platform | null;
  /** When it signed in; ISO 8601, UTC. */
  readonly created_at: string;
  /** The day it was last used, `YYYY-MM-DD`, UTC; nothing finer is kept. */
  readonly last_seen: string;
  /** Whether it is the one that asks. */
  readonly current: boolean;
}

/** Where the caller is signed in, newest first. */
export async function listSessions(
  deps: AccountDeps,
  input: { readonly caller: Principal },
): Promise<readonly SessionAnswer[]> {
  const { accountId, sessionId } = input.caller;
  const sessions = await listSessionsOf(deps.db, accountId, deps.clock.now());
  return sessions.map((session) => ({
    id: session.id,
    device_id: session.deviceId,
    device_name: session.deviceName,
    platform: session.platform,
    created_at: session.createdAt.toISOString(),
    last_seen: session.seenOn,
    current: session.id === sessionId,
  }));
}
