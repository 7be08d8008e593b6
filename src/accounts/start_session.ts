import type { Sql } from "../platform/postgres.ts";
import { type AccountId, DeviceId, DomainError, LIMITS, type Platform, SessionId, uuidv7 } from "../protocol/mod.ts";
import { lockAccount } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { writeDeviceToken } from "./device_token.ts";
import { firstRefreshToken, type RefreshToken } from "./refresh_token.ts";
import { claimDevice, endOldestSessions, endReplacedSessions, insertSession } from "./sessions_store.ts";

/** Days after sign-in when a session ends, however often its refresh token was renewed. */
export const SESSION_DAYS = 90;

const DAY_MS = 24 * 60 * 60 * 1_000;

/** What both signing in and refreshing answer. */
export interface TokenAnswer {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly token_type: "bearer";
  /** Seconds until the access token ends. */
  readonly expires_in: number;
  readonly session_id: SessionId;
  readonly device_id: DeviceId;
  /** Given back at a later sign-in it shows that the device is known; it opens nothing. */
  readonly device_token: string;
}

/** A session that was just opened. */
export interface StartedSession {
  readonly id: SessionId;
  readonly accountId: AccountId;
  readonly deviceId: DeviceId;
  readonly refreshToken: RefreshToken;
  readonly expiresAt: number;
  /** The sessions that had to make room. */
  readonly ended: readonly SessionId[];
}

/** Which device signs in. */
export interface DeviceInput {
  /** A device that signs in again; absent for a new one. */
  readonly device_id?: DeviceId | undefined;
  readonly device_name?: string | undefined;
  readonly platform?: Platform | undefined;
}

/**
 * Opens a session within a transaction, which holds the account's lock from here on. Every way to sign in ends here.
 *
 * - A disabled account gets none: whoever disables it holds the same lock.
 * - A device has one live session: the one before ends.
 * - An account has at most `LIMITS.sessionsPerAccount`: the oldest end.
 *
 * Throws `account_disabled`, `unauthorized` where the account is gone, and `bad_request` for a device of another account,
 * in the words for any other bad field.
 */
export async function startSession(
  deps: AccountDeps,
  tx: Sql,
  input: DeviceInput & { readonly accountId: AccountId },
): Promise<StartedSession> {
  const { accountId } = input;
  const now = deps.clock.now();
  const account = await lockAccount(tx, accountId);
  if (account === undefined) throw new DomainError("unauthorized");
  if (account.disabled) throw new DomainError("account_disabled");
  const deviceId = input.device_id ?? DeviceId.parse(uuidv7(now));
  const { device_name: name = null, platform = null } = input;
  const mine = await claimDevice(tx, { id: deviceId, accountId, name, platform, now });
  if (!mine) throw new DomainError("bad_request", { details: { fields: { device_id: "must be a device of yours" } } });
  const replaced = await endReplacedSessions(tx, { accountId, deviceId, now });
  const oldest = await endOldestSessions(tx, { accountId, keep: LIMITS.sessionsPerAccount - 1, now });
  const id = SessionId.parse(uuidv7(now));
  const refreshToken = firstRefreshToken(deps.refreshKeys, id);
  const expiresLatest = now + Math.max(SESSION_DAYS * DAY_MS, deps.refreshTokenMs);
  const expiresAt = now + deps.refreshTokenMs;
  await insertSession(tx, { id, accountId, deviceId, refreshHash: refreshToken.hash, now, expiresAt, expiresLatest });
  return { id, accountId, deviceId, refreshToken, expiresAt, ended: [...replaced, ...oldest] };
}

/** Writes the tokens of a session. The access token never outlives the session. */
export async function answerWithTokens(
  deps: AccountDeps,
  session: Omit<StartedSession, "ended">,
): Promise<TokenAnswer> {
  const now = deps.clock.now();
  const expiresAt = Math.floor(Math.min(now + deps.accessTokenMs, session.expiresAt) / 1_000) * 1_000;
  const { id, accountId, deviceId, refreshToken } = session;
  return {
    access_token: await deps.accessTokens.sign({ accountId, sessionId: id, deviceId, expiresAt }),
    refresh_token: refreshToken.text,
    token_type: "bearer",
    expires_in: Math.max(0, Math.floor((expiresAt - now) / 1_000)),
    session_id: id,
    device_id: deviceId,
    device_token: writeDeviceToken(deps.deviceKey, { accountId, deviceId }),
  };
}
