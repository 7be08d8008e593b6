/**
 * Access tokens: JWTs of the profile of RFC 9068, signed with HS256 by @elysiajs/jwt, which is used
 * here apart from any route.
 *
 * - What is accepted is pinned at reading (RFC 8725 section 3.1): algorithm, `typ`, issuer, audience
 *   and the claims that must be there. The plugin's own `alg` pins nothing.
 */
import { createHmac } from "node:crypto";
import { jwt } from "@elysiajs/jwt";
import { z } from "zod";
import type { AccessTokens } from "../accounts/mod.ts";
import { AccountId, DeviceId, SessionId, uuidv7 } from "../protocol/mod.ts";

const ISSUER = "sotto";
const AUDIENCE = "sotto";
const TYPE = "at+jwt";
const ALGORITHM = "HS256";

const Claims = z.object({
  sub: AccountId,
  sid: SessionId,
  device: DeviceId,
  jti: z.string(),
  /** Seconds since the epoch. */
  exp: z.number(),
});

/** Makes what signs and reads access tokens with a key derived from the server's secret. */
export function createAccessTokens(secretKey: string | Uint8Array): AccessTokens {
  const secret = new Uint8Array(createHmac("sha256", secretKey).update("sotto access token").digest());
  const plugin = jwt({ name: "accessToken", secret, alg: ALGORITHM, typ: TYPE, iss: ISSUER, aud: AUDIENCE });
  const { sign, verify } = plugin.decorator.accessToken;
  return {
    sign: ({ accountId, sessionId, deviceId, expiresAt }) =>
      sign({ sub: accountId, sid: sessionId, device: deviceId, jti: uuidv7(), exp: Math.floor(expiresAt / 1_000) }),
    async read(token) {
      const payload = await verify(token, {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ["exp", "iat", "sub", "jti"],
        // The end is judged by the caller, who tells an expired token from a forged one.
        currentDate: new Date(0),
      });
      const claims = Claims.safeParse(payload);
      if (!claims.success) return null;
      const { sub, sid, device, exp } = claims.data;
      return { accountId: sub, sessionId: sid, deviceId: device, expiresAt: exp * 1_000 };
    },
  };
}
