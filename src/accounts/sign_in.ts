import { type AccountId, DomainError, type SessionId } from "../protocol/mod.ts";
import { findCredentials, lockAccount, replaceHash } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { type KnownDevice, readDeviceToken } from "./device_token.ts";
import { beginGuess } from "./guesses.ts";
import { foldName, normalizePassword } from "./names.ts";
import { answerWithTokens, type DeviceInput, startSession, type TokenAnswer } from "./start_session.ts";

/** What {@link signIn} is asked: a user name or an e-mail address, and the password. */
export interface SignInInput extends DeviceInput {
  readonly username?: string | undefined;
  readonly email?: string | undefined;
  readonly password: string;
  /** Shows that the device signed in before. */
  readonly device_token?: string | undefined;
  /** Where the request came from, for throttling. */
  readonly address: string;
}

/** What {@link signIn} did. */
export interface SignInResult {
  readonly answer: TokenAnswer;
  readonly accountId: AccountId;
  /** Sessions that made room: close their sockets. */
  readonly ended: readonly SessionId[];
}

/**
 * Opens a session for who knows the password.
 *
 * - A name that nobody has takes the same work and gets the same answer as a wrong password.
 * - A device that signed in before, and shows it, is throttled by itself: strangers cannot lock it out.
 * - A hash made with weaker settings is replaced while the password is at hand.
 *
 * Throws `invalid_credentials`, `account_disabled` (only to who knows the password), `rate_limited`, `bad_request` for
 * a device of another account, and `overloaded`.
 */
export async function signIn(deps: AccountDeps, input: SignInInput): Promise<SignInResult> {
  const by = input.username === undefined ? "email" : "username";
  const name = foldName(input.username ?? input.email ?? "");
  const device = input.device_token === undefined ? null : readDeviceToken(deps.deviceKey, input.device_token);
  await throttle(deps, device, input.address, name);
  // No name holds U+0000, and Postgres takes it in no text.
  const known = name.includes("\0") ? undefined : await findCredentials(deps.db, by, name);
  // A token of another account's device makes nobody known to this one.
  const isKnown = device !== null && device.accountId === known?.id;
  if (device !== null && !isKnown) await throttle(deps, null, input.address, name);
  const guess = await beginGuess(deps, isKnown ? `device ${device.deviceId}` : `name ${name}`);
  const password = normalizePassword(input.password);
  const correct = await deps.passwords
    .verifyPassword(password, known?.passwordHash ?? deps.dummyHash)
    .catch(async (error) => {
      await guess.forget(deps.db);
      throw error;
    });
  if (known === undefined || !correct) throw new DomainError("invalid_credentials");
  if (deps.passwords.needsRehash(known.passwordHash)) {
    await replaceHash(deps.db, known.id, known.passwordHash, await deps.passwords.hashPassword(password));
  }
  const session = await deps.db.transaction(async (tx) => {
    await guess.forget(tx);
    const locked = await lockAccount(tx, known.id);
    // The password was changed while this one was checked: its sessions have ended, and this one must not begin.
    if (locked?.passwordVersion !== known.passwordVersion) throw new DomainError("invalid_credentials");
    const { device_id, device_name, platform } = input;
    return startSession(deps, tx, { accountId: known.id, device_id, device_name, platform });
  });
  deps.liveness.drop(session.ended);
  return { answer: await answerWithTokens(deps, session), accountId: known.id, ended: session.ended };
}

function throttle(deps: AccountDeps, device: KnownDevice | null, address: string, name: string): Promise<void> {
  if (device !== null) return deps.throttle.take(["sign_in_device", device.deviceId]);
  return deps.throttle.take(
    ["sign_in_name_address", `${address} ${name}`],
    ["sign_in_address", address],
    ["sign_in_name", name],
    ["sign_in_everybody", ""],
  );
}
