/**
 * From a request's `Authorization: Bearer` (RFC 6750 section 2.1) to who it speaks for, and whose
 * requests it is counted among.
 *
 * - A valid token uses the account's limit; a bad one and none use the address's. So guessing is
 *   slow, and a neighbour behind the same address is not locked out.
 * - Every request is counted once, before anything else looks at it, also one that no route wants.
 */
import type { Principal } from "../accounts/mod.ts";
import { bearerTokenOf, DomainError } from "../protocol/mod.ts";
import { addressOf } from "./request_facts.ts";
import type { RequestThrottle } from "./request_rates.ts";

/** What {@link createAuthentication} needs. */
export interface AuthenticationDeps {
  /** Judges an access token; throws `unauthorized` or `token_expired`. */
  readonly verify: (token: string) => Promise<Principal>;
  readonly throttle: RequestThrottle;
}

/** Gives the caller of a request, or throws `unauthorized` or `token_expired`. */
export type Authenticate = (request: Request) => Promise<Principal>;

/** See the head of this file. */
export interface Authentication {
  /** Counts a request; throws `rate_limited`. */
  admit(request: Request): Promise<void>;
  readonly authenticate: Authenticate;
}

type Verdict = { readonly caller: Principal } | { readonly error: unknown };

/** Makes the `authenticate` that every slice's routes are given, and what counts in front of them. */
export function createAuthentication({ verify, throttle }: AuthenticationDeps): Authentication {
  const verdicts = new WeakMap<Request, Verdict>();

  async function judge(request: Request): Promise<Verdict> {
    const token = bearerTokenOf(request.headers.get("authorization"));
    if (token === undefined) return { error: new DomainError("unauthorized") };
    try {
      return { caller: await verify(token) };
    } catch (error) {
      return { error };
    }
  }

  return {
    async admit(request) {
      const verdict = await judge(request);
      verdicts.set(request, verdict);
      if ("caller" in verdict) await throttle.take(["requests_account", verdict.caller.accountId]);
      else await throttle.take(["requests_address", addressOf(request)]);
    },
    async authenticate(request) {
      const verdict = verdicts.get(request) ?? (await judge(request));
      if ("error" in verdict) throw verdict.error;
      return verdict.caller;
    },
  };
}
