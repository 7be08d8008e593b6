import { DomainError } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import type { Principal } from "./principal.ts";

/** A token of ours is well below this; longer texts are not worth a signature check. */
const MAX_TOKEN_CHARS = 4_096;

/**
 * Who an access token speaks for. Throws `token_expired` for one of ours that ended, and
 * `unauthorized` for every other text, and within a second after its session ended.
 */
export async function verifyAccessToken(deps: AccountDeps, token: string): Promise<Principal> {
  const claims = token.length > MAX_TOKEN_CHARS ? null : await deps.accessTokens.read(token);
  if (claims === null) throw new DomainError("unauthorized");
  if (claims.expiresAt <= deps.clock.now()) throw new DomainError("token_expired");
  if (!(await deps.liveness.isLive(claims.sessionId))) throw new DomainError("unauthorized");
  return claims;
}
