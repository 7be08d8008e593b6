/**
 * Reads a public key from PEM (RFC 7468): exactly one SubjectPublicKeyInfo, or one RSA key as
 * PKCS #1 (RFC 8017 appendix A.1.1). What is kept is the SubjectPublicKeyInfo, so one key has one
 * fingerprint however it was written.
 */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { DomainError } from "../protocol/mod.ts";

/** What kinds of key there may be. */
export type KeyAlgorithm = "RSA" | "P-256" | "P-384" | "P-521" | "X25519" | "Ed25519";

/** A public key that was read and judged. */
export interface ParsedPublicKey {
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly der: Uint8Array;
  /** SHA-256 of `der`, 32 bytes. */
  readonly fingerprint: Uint8Array;
}

const MAX_PEM_CHARS = 4_096;
const RSA_BITS = { least: 2_048, most: 8_192 };
const ONE_KEY = /^\s*-----BEGIN ((?:RSA )?PUBLIC KEY)-----([A-Za-z0-9+/=\s]+)-----END \1-----\s*$/;
const CURVES: Readonly<Record<string, KeyAlgorithm>> = {
  "P-256": "P-256",
  "P-384": "P-384",
  "P-521": "P-521",
  X25519: "X25519",
  Ed25519: "Ed25519",
};

/**
 * Reads one public key. Throws `private_key_refused` where a private key is anywhere in the text,
 * else `bad_public_key` with `details.reason`. The text itself goes neither out nor into a log.
 */
export function parsePublicKey(pem: string): ParsedPublicKey {
  if (/PRIVATE\s+KEY/i.test(pem)) throw new DomainError("private_key_refused");
  if (pem.length > MAX_PEM_CHARS) throw bad(`must have at most ${MAX_PEM_CHARS} characters`);
  const [, label, base64] = ONE_KEY.exec(pem) ?? [];
  if (label === undefined || base64 === undefined) throw bad("must be exactly one PEM block with a public key");
  const key = readKey(Buffer.from(base64, "base64"), label === "PUBLIC KEY" ? "spki" : "pkcs1");
  const algorithm = judge(key);
  const der = new Uint8Array(key.export({ type: "spki", format: "der" }));
  return { algorithm, der, fingerprint: new Uint8Array(createHash("sha256").update(der).digest()) };
}

/** Writes a SubjectPublicKeyInfo as PEM, 64 characters a line, with a last line end. */
export function toPem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
}

function readKey(der: Buffer, type: "spki" | "pkcs1"): KeyObject {
  if (!isOneSequence(der)) throw bad("must hold one DER structure and nothing after it");
  try {
    return createPublicKey({ key: der, format: "der", type });
  } catch {
    throw bad("must hold a key that can be read"); // the cause is left out: it may quote the input
  }
}

/** Whether the bytes are one DER SEQUENCE to the last byte (X.690 section 8.1.3); parsers ignore what follows. */
function isOneSequence(der: Uint8Array): boolean {
  const [tag, first] = der;
  if (tag !== 0x30 || first === undefined) return false;
  if (first < 0x80) return der.length === 2 + first;
  const bytes = first & 0x7f;
  if (bytes < 1 || bytes > 2) return false;
  let length = 0;
  for (let i = 0; i < bytes; i++) length = length * 256 + (der[2 + i] ?? 0);
  return der.length === 2 + bytes + length;
}

function judge(key: KeyObject): KeyAlgorithm {
  const kind = key.asymmetricKeyType;
  if (kind !== "rsa" && kind !== "ec" && kind !== "x25519" && kind !== "ed25519")
    throw bad("must be of a kind that is known");
  const jwk = key.export({ format: "jwk" });
  if (kind === "rsa") return judgeRsa(jwk.n ?? "", jwk.e ?? "");
  const algorithm = CURVES[jwk.crv ?? ""];
  if (algorithm === undefined) throw bad("must be on one of the curves P-256, P-384, P-521, X25519, Ed25519");
  return algorithm;
}

function judgeRsa(modulus: string, exponent: string): KeyAlgorithm {
  const n = BigInt(`0x0${Buffer.from(modulus, "base64url").toString("hex")}`);
  const e = BigInt(`0x0${Buffer.from(exponent, "base64url").toString("hex")}`);
  const bits = n.toString(2).length;
  if (bits < RSA_BITS.least || bits > RSA_BITS.most) {
    throw bad(`must have ${RSA_BITS.least} to ${RSA_BITS.most} bits: current value is ${bits}`);
  }
  // NIST SP 800-56B section 6.2: with a smaller or an even exponent the key protects nothing.
  if (e < 65_537n || e % 2n === 0n || n % 2n === 0n)
    throw bad("must have an odd modulus and an odd exponent of at least 65537");
  return "RSA";
}

function bad(reason: string): DomainError {
  return new DomainError("bad_public_key", { details: { reason } });
}
