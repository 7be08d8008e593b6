/**
 * What a device holds that has signed in before: `<account>.<device>.<keyed hash of both>`. It opens
 * nothing. It shows that who asks is no stranger to the account, so that strangers who use up the
 * account's throttle do not lock its owner out. It is not stored, and ends with the server's secret.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { AccountId, DeviceId } from "../protocol/mod.ts";

/** A device of an account. */
export interface KnownDevice {
  readonly accountId: AccountId;
  readonly deviceId: DeviceId;
}

/** Writes the token. `key`: 32 bytes. */
export function writeDeviceToken(key: Uint8Array, device: KnownDevice): string {
  const text = `${device.accountId}.${device.deviceId}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

/** Reads what a client presents; `null` where this server did not make it. */
export function readDeviceToken(key: Uint8Array, token: string): KnownDevice | null {
  const [account, device] = token.split(".");
  const known = { accountId: AccountId.safeParse(account).data, deviceId: DeviceId.safeParse(device).data };
  const { accountId, deviceId } = known;
  if (accountId === undefined || deviceId === undefined) return null;
  const [given, expected] = [token, writeDeviceToken(key, { accountId, deviceId })].map((text) => Buffer.from(text));
  if (given === undefined || expected === undefined || given.length !== expected.length) return null;
  return timingSafeEqual(given, expected) ? { accountId, deviceId } : null;
}
