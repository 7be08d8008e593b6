/**
 * Refresh tokens. One is 68 bytes as base64url (RFC 4648 section 5):
 *
 *   session (16) | generation (4, big-endian) | secret (32) | tag (16)
 *
 * - The tag, a keyed hash of what is before it, shows that this server made the token. So a stranger who knows
 *   a session's id cannot make up an "earlier" token, and end the session by it.
 * - The secret of the first token is random; that of each next is a keyed hash of the token before. So
 *   a lost answer can be given again although only hashes are stored.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { SessionId } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";

/** A refresh token that this server made. */
export interface RefreshToken {
  readonly sessionId: SessionId;
  /** 0 for the token of the sign-in, one more with each rotation. */
  readonly generation: number;
  /** What the client holds. */
  readonly text: string;
  /** SHA-256 of the token: what is stored. */
  readonly hash: Buffer;
}

type Keys = AccountDeps["refreshKeys"];

const SESSION = 16;
const GENERATION = 4;
const SECRET = 32;
const TAG = 16;
const TOKEN_CHARS = Math.ceil(((SESSION + GENERATION + SECRET + TAG) * 4) / 3);

/** The first token of a session. */
export function firstRefreshToken(keys: Keys, sessionId: SessionId): RefreshToken {
  return assemble(keys, sessionId, 0, randomBytes(SECRET));
}

/** The token that follows; always the same for the same token. */
export function nextRefreshToken(keys: Keys, token: RefreshToken): RefreshToken {
  const secret = createHmac("sha256", keys.successor).update(token.text).digest();
  return assemble(keys, token.sessionId, token.generation + 1, secret);
}

/** Reads what a client presents; `null` where this server did not make it. */
export function readRefreshToken(keys: Keys, text: string): RefreshToken | null {
  if (text.length !== TOKEN_CHARS) return null;
  const bytes = Buffer.from(text, "base64url");
  // Several texts decode to the same bytes; only the one that was given out counts.
  if (bytes.length !== SESSION + GENERATION + SECRET + TAG || bytes.toString("base64url") !== text) return null;
  const body = bytes.subarray(0, -TAG);
  if (!timingSafeEqual(bytes.subarray(-TAG), tagOf(keys, body))) return null;
  const hex = body.toString("hex", 0, SESSION);
  const sessionId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5") as SessionId;
  return { sessionId, generation: body.readUInt32BE(SESSION), text, hash: hashOf(text) };
}

function assemble(keys: Keys, sessionId: SessionId, generation: number, secret: Uint8Array): RefreshToken {
  const number = Buffer.alloc(GENERATION);
  number.writeUInt32BE(generation);
  const body = Buffer.concat([Buffer.from(sessionId.replaceAll("-", ""), "hex"), number, secret]);
  const text = Buffer.concat([body, tagOf(keys, body)]).toString("base64url");
  return { sessionId, generation, text, hash: hashOf(text) };
}

function tagOf(keys: Keys, body: Uint8Array): Buffer {
  return createHmac("sha256", keys.tag).update(body).digest().subarray(0, TAG);
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
