/** What of a profile somebody is shown. */
import { contactsAmong } from "../conversations/mod.ts";
import { getPublicKey } from "../keys/mod.ts";
import { type AccountId, DomainError, type LastSeenTo, type UserStatus } from "../protocol/mod.ts";
import { listBlocking } from "./blocks_store.ts";
import type { PeopleDeps } from "./deps.ts";
import { findPrivateKey } from "./private_keys_store.ts";
import { findProfile, type StoredProfile } from "./profiles_store.ts";

/** A person as others see them. Times are ISO 8601, UTC. */
export interface Profile {
  readonly id: AccountId;
  readonly username: string;
  readonly display_name: string | null;
  /** `offline` too where it is not shown to whoever asks. */
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
  readonly privacy: { readonly last_seen: LastSeenTo; readonly findable: boolean };
}

/** One person, as the viewer may see them. Throws `user_not_found`. */
export async function getUser(
  deps: PeopleDeps,
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
    privacy: { last_seen: stored.lastSeenTo, findable: stored.findable },
  };
}

/** Profiles as the viewer may see them, in the same order. Asks the same of the database whoever blocks whom. */
export async function showProfiles(
  deps: PeopleDeps,
  viewerId: AccountId,
  profiles: readonly StoredProfile[],
): Promise<Profile[]> {
  const ids = profiles.map(({ id }) => id);
  const [contacts, blocking] = await Promise.all([
    contactsAmong(deps, viewerId, ids),
    listBlocking(deps.db, viewerId, ids),
  ]);
  return profiles.map((profile) => {
    const { id, lastSeenTo } = profile;
    const toContacts = contacts.has(id) && lastSeenTo === "contacts";
    const shown = id === viewerId || (!blocking.has(id) && (lastSeenTo === "everybody" || toContacts));
    return {
      id,
      username: profile.username,
      display_name: profile.displayName,
      status: shown ? profile.status : "offline",
      last_seen: shown ? profile.lastSeenOn : null,
      created_at: profile.createdAt.toISOString(),
      updated_at: profile.updatedAt.toISOString(),
    };
  });
}
