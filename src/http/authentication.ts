/** From a request's `Authorization: Bearer` (RFC 6750 section 2.1) to who it speaks for. */
import type { Principal } from "../accounts/mod.ts";
import { bearerTokenOf, DomainError } from "../protocol/mod.ts";
import type { RequestThrottle } from "./request_rates.ts";

/** What {@link createAuthenticate} needs. */
export interface AuthenticateDeps {
  /** Judges an access token; throws `unauthorized` or `token_expired`. */
  readonly verify: (token: string) => Promise<Principal>;
  readonly addressOf: (request: Request) => string;
  readonly throttle: RequestThrottle;
}

/** Gives the caller of a request, or throws `unauthorized`, `token_expired` or `rate_limited`. */
export type Authenticate = (request: Request) => Promise<Principal>;

/**
 * Makes the `authenticate` that every slice's routes are given.
 *
 * - A valid token uses the account's request limit; a bad or missing one uses the address's, so
 *   guessing is slow and a neighbour behind the same address is not locked out.
 */
export function createAuthenticate(deps: AuthenticateDeps): Authenticate {
  return async (request) => {
    const header = request.headers.get("authorization");
    const token = bearerTokenOf(header);
    let caller: Principal;
    try {
      if (token === undefined) throw new DomainError("unauthorized");
      caller = await deps.verify(token);
    } catch (error) {
      // Without the header the address was already counted when the request came in.
      if (header !== null) await deps.throttle.take(["requests_address", deps.addressOf(request)]);
      throw error;
    }
    await deps.throttle.take(["requests_account", caller.accountId]);
    return caller;
  };
}
