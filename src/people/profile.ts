/** What of a profile somebody is shown. */
import { contactsAmong } from "../conversations/mod.ts";
import { getPublicKey } from "../keys/mod.ts";
import { type AccountId, type DeviceStatus, DomainError, type LastSeenTo, type UserStatus } from "../protocol/mod.ts";
import { listBlocking } from "./blocks_store.ts";
import type { ProfileDeps } from "./deps.ts";
import { findPrivateKey } from "./private_keys_store.ts";
import { findProfile, type StoredProfile } from "./profiles_store.ts";

/** A person as others see them. Times are ISO 8601, UTC. */
export interface Profile {
  readonly id: AccountId;
  readonly username: string;
  readonly display_name: string | null;
  /** How they are now; `offline` too where it is not shown to whoever asks. */
  readonly status: UserStatus;
  /** A day, as `2026-01-31`; `null` where it is not known or not shown. */
  readonly last_seen: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** A profile with the current public key as PEM. */
export interface ProfileWithKey extends Profile {
  readonly public_key: string | null;
}

/** A person as they see themselves. */
export interface OwnProfile extends ProfileWithKey {
  readonly email: string | null;
  readonly private_key_encrypted: string | null;
  readonly privacy: { readonly last_seen: LastSeenTo; readonly findable: boolean; readonly read_receipts: boolean };
}

/** One person, as the viewer may see them. Throws `user_not_found`. */
export async function getUser(
  deps: ProfileDeps,
  input: { readonly viewerId: AccountId; readonly id: AccountId },
): Promise<ProfileWithKey | OwnProfile> {
  const { viewerId, id } = input;
  const [stored, key] = await Promise.all([findProfile(deps.db, id), getPublicKey(deps, id)]);
  if (stored === undefined) throw new DomainError("user_not_found");
  const [profile] = await showProfiles(deps, viewerId, [stored]);
  if (profile === undefined) throw new Error("Show the profile that was asked for");
  const shown = { ...profile, public_key: key?.public_key ?? null };
  if (id !== viewerId) return shown;
  const sealed = await findPrivateKey(deps.db, id);
  return {
    ...shown,
    email: stored.email,
    private_key_encrypted: sealed?.blob ?? null,
    privacy: { last_seen: stored.lastSeenTo, findable: stored.findable, read_receipts: stored.readReceipts },
  };
}

/** Profiles as the viewer may see them, in the same order. Asks the same of the database whoever blocks whom. */
export async function showProfiles(
  deps: ProfileDeps,
  viewerId: AccountId,
  profiles: readonly StoredProfile[],
): Promise<Profile[]> {
  const ids = profiles.map(({ id }) => id);
  const [contacts, blocking, connected] = await Promise.all([
    contactsAmong(deps, viewerId, ids),
    listBlocking(deps.db, viewerId, ids),
    deps.connected(ids),
  ]);
  return profiles.map((profile) => {
    const { id, lastSeenTo } = profile;
    const toContacts = contacts.has(id) && lastSeenTo === "contacts";
    const shown = id === viewerId || (!blocking.has(id) && (lastSeenTo === "everybody" || toContacts));
    return {
      id,
      username: profile.username,
      display_name: profile.displayName,
      status: shown ? statusOf(profile, id === viewerId, connected.get(id)) : "offline",
      last_seen: shown ? profile.lastSeenOn : null,
      created_at: profile.createdAt.toISOString(),
      updated_at: profile.updatedAt.toISOString(),
    };
  });
}

/** What somebody chose is shown while they are connected, and to themselves in any case. */
function statusOf({ chosenStatus }: StoredProfile, own: boolean, device: DeviceStatus | undefined): UserStatus {
  if (own && chosenStatus !== null) return chosenStatus;
  return shownStatus(chosenStatus, device);
}

/** How others see somebody who chose this and whose devices are so; `undefined`: no device is connected. */
export function shownStatus(chosen: UserStatus | null, device: DeviceStatus | undefined): UserStatus {
  if (device === undefined) return "offline";
  return chosen === null || chosen === "online" ? device : chosen;
}
