/**
 * People as others meet them: profiles, whom somebody blocks, and the private keys that clients keep
 * here sealed. Owns the tables `profiles`, `private_keys` and `account_blocks`.
 *
 * - E-mail address, privacy settings and the sealed key are shown to nobody but the account itself.
 * - Of when somebody was last seen the day is kept, and not even that where they show it to nobody.
 * - Nobody is told that they are blocked: what they see is what they would see of somebody who is away.
 *
 * - Who leaves for good is gone from here, and from every slice: see `departures.ts`; before, they may take
 *   everything with them: see `export.ts`.
 *
 * Lifecycle: {@link startDepartures} at start, disposed of at the end. Routes are in `routes.ts` and `leaving_routes.ts`.
 * May import protocol, platform, keys, accounts and conversations.
 */
export {
  type BlockedPage,
  type BlockedUser,
  blockUser,
  listBlocked,
  unblockUser,
  type WithheldChange,
} from "./blocks.ts";
export { type ContactOf, listContacts, pairsInContact } from "./contacts.ts";
export { type Departures, type DeparturesOptions, startDepartures } from "./departures.ts";
export type { Connected, PeopleDeps, ProfileDeps } from "./deps.ts";
export type { ExportSource } from "./export.ts";
export { createLastSeen, type LastSeen } from "./last_seen.ts";
export { type ListUsersInput, listUsers, type UserPage } from "./list_users.ts";
export { type PrivateKey, type PutPrivateKeyInput, putPrivateKey, readPrivateKey } from "./private_key.ts";
export { getUser, type OwnProfile, type Profile, shownStatus } from "./profile.ts";
export { listSettings, type PersonSettings, STANDARD_SETTINGS } from "./profiles_store.ts";
export { updateUser } from "./update_user.ts";
