/**
 * Access tokens: JWTs of the profile of RFC 9068, signed and read by @elysiajs/jwt, which is used
 * here apart from any route.
 *
 * - Keys are a ring: the first signs, every one of them reads. A token says by `kid` which key it was
 *   signed with; without a `kid`, or with one that is not in the ring, it is refused.
 * - What is accepted is pinned at reading (RFC 8725 section 3.1): the algorithm of that one key, `typ`,
 *   issuer, audience and the claims that must be there. The plugin's own `alg` pins nothing.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { jwt } from "@elysiajs/jwt";
import { decodeProtectedHeader, type JWTVerifyOptions } from "jose";
import { z } from "zod";
import type { AccessTokens } from "../accounts/mod.ts";
import type { Clock } from "../platform/clock.ts";
import { AccountId, DeviceId, SessionId, uuidv7 } from "../protocol/mod.ts";

/** A key of the ring. */
export interface SigningKey {
  /** What tokens name it by (`kid`). */
  readonly id: string;
  /** The only algorithm that the key is used with. */
  readonly algorithm: "HS256" | "EdDSA";
  /** 32 bytes: the key of HMAC, or the seed of an Ed25519 key pair (RFC 8032 section 5.1.5). */
  readonly key: Uint8Array;
}

/** A public key as RFC 8037 section 2 writes it. */
export interface PublicJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly kid: string;
  readonly alg: "EdDSA";
  readonly use: "sig";
}

const ISSUER = "sotto";
const AUDIENCE = "sotto";
const TYPE = "at+jwt";
/** Seconds that the clocks of two nodes may be apart. */
const CLOCK_SKEW = 300;
/** What precedes the seed in the PKCS #8 form of an Ed25519 key (RFC 8410 section 7). */
const ED25519_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

const Claims = z
  .object({
    sub: AccountId,
    sid: SessionId,
    device: DeviceId,
    jti: z.string().min(1).max(100),
    /** Seconds since the epoch. */
    iat: z.number().int().positive(),
    exp: z.number().int().positive(),
  })
  .refine(({ iat, exp }) => iat <= exp);

/** Makes what signs and reads access tokens with a ring of keys, of which there is at least one. */
export function createAccessTokens(ring: readonly SigningKey[], clock: Pick<Clock, "now">): AccessTokens {
  const keys = new Map(ring.map((key) => [key.id, openKey(key)]));
  const [active] = keys.values();
  if (active === undefined) throw new Error("Give a ring of one key at least");
  return {
    sign: ({ accountId, sessionId, deviceId, expiresAt }) =>
      active.sign({
        sub: accountId,
        sid: sessionId,
        device: deviceId,
        jti: uuidv7(),
        exp: Math.floor(expiresAt / 1_000),
      }),
    async read(token) {
      const key = keys.get(keyIdOf(token));
      const claims = Claims.safeParse(await key?.read(token));
      if (!claims.success) return null;
      const { sub, sid, device, iat, exp } = claims.data;
      if (iat > clock.now() / 1_000 + CLOCK_SKEW) return null;
      return { accountId: sub, sessionId: sid, deviceId: device, expiresAt: exp * 1_000 };
    },
  };
}

/** The public halves of a ring, for others who want to read its tokens; none of HS256, which has no such half. */
export function publicKeysOf(ring: readonly SigningKey[]): PublicJwk[] {
  return ring
    .filter(({ algorithm }) => algorithm === "EdDSA")
    .map(({ id, key }) => {
      const { x = "" } = createPublicKey(privateKeyOf(key)).export({ format: "jwk" });
      return { kty: "OKP", crv: "Ed25519", x, kid: id, alg: "EdDSA", use: "sig" };
    });
}

interface OpenKey {
  sign(claims: { sub: string; sid: string; device: string; jti: string; exp: number }): Promise<string>;
  /** The claims of a token that this key signed, also of one that has expired; else `false`. */
  read(token: string): Promise<object | false>;
}

function openKey({ id, algorithm, key }: SigningKey): OpenKey {
  const shared = { name: "accessToken", alg: algorithm, typ: TYPE, kid: id, iss: ISSUER, aud: AUDIENCE } as const;
  // The plugin holds one key, and a private one cannot read.
  const secrets = algorithm === "HS256" ? { sign: key, read: key } : pairOf(key);
  const signer = jwt({ ...shared, secret: secrets.sign }).decorator.accessToken;
  const reader = jwt({ ...shared, secret: secrets.read }).decorator.accessToken;
  const accepted: JWTVerifyOptions = {
    algorithms: [algorithm],
    typ: TYPE,
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ["exp", "iat", "sub", "jti"],
    // The end is judged by the caller, who tells an expired token from a forged one. None of ours has a
    // beginning (`nbf`), and at this date none has begun.
    currentDate: new Date(0),
  };
  return { sign: (claims) => signer.sign(claims), read: (token) => reader.verify(token, accepted) };
}

function pairOf(seed: Uint8Array): { readonly sign: KeyObject; readonly read: KeyObject } {
  const sign = privateKeyOf(seed);
  return { sign, read: createPublicKey(sign) };
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([ED25519_HEAD, seed]), format: "der", type: "pkcs8" });
}

/** The `kid` of a token that nobody has checked yet; empty, which names no key, where there is none. */
function keyIdOf(token: string): string {
  try {
    const { kid } = decodeProtectedHeader(token);
    return typeof kid === "string" ? kid : "";
  } catch {
    return "";
  }
}
