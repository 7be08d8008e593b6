/**
 * Public keys that clients publish as PEM. Owns the table `public_keys`.
 *
 * - The newest row of an account is its current key; rows are never changed or removed singly.
 * - No private key is stored or logged.
 *
 * May import protocol and platform.
 */
export type { KeysDeps } from "./deps.ts";
export { getPublicKey, type PublicKeyAnswer } from "./get_public_key.ts";
export { type ParsedPublicKey, parsePublicKey } from "./public_key.ts";
export { insertFirstKey, type SetPublicKeyInput, type SetPublicKeyResult, setPublicKey } from "./set_public_key.ts";
