/** Tokens that a server must refuse, made from one that it gave. */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signRaw,
} from "node:crypto";
import { deriveKey } from "../../src/platform/secrets.ts";
import { uuidv7 } from "../../src/protocol/mod.ts";

/** How a token differs from the one that it is made from; a claim that is `undefined` is left out. */
export interface Forgery {
  readonly alg?: string;
  readonly typ?: string;
  /** `null` leaves it out. */
  readonly kid?: unknown;
  readonly key?: Uint8Array;
  readonly change?: Record<string, unknown>;
}

/** What {@link tokenForge} gives. */
export interface TokenForge {
  /** What the good token says. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Signs as the server does, but for what the forgery says. */
  sign(forgery?: Forgery): string;
  /** More than forty texts that are no valid token, of every sort; each can be sent in a header. */
  badTokens(): string[];
}

const DIGESTS: Readonly<Record<string, string>> = { HS256: "sha256", HS384: "sha384", HS512: "sha512" };

/** Makes tokens by the server's own secret, which a test knows and an attacker does not; the server has no other key. */
export function tokenForge(good: string, secret: string): TokenForge {
  const serverKey = deriveKey(secret, "sotto access token");
  const serverPair = ed25519Of(deriveKey(secret, "sotto access token seed"));
  const [header = "", payload = "", signature = ""] = good.split(".");
  const { alg: usual }: { alg: string } = JSON.parse(Buffer.from(header, "base64url").toString());
  const claims: Record<string, unknown> = JSON.parse(Buffer.from(payload, "base64url").toString());

  function sign({ alg = usual, typ = "at+jwt", kid = "1", key = serverKey, change = {} }: Forgery = {}): string {
    // JSON leaves out what is undefined.
    const input = `${encode({ alg, kid: kid ?? undefined, typ })}.${encode({ ...claims, ...change })}`;
    if (alg === "EdDSA") {
      const pair = key === serverKey ? serverPair : ed25519Of(key);
      return `${input}.${signRaw(null, Buffer.from(input), pair.privateKey).toString("base64url")}`;
    }
    return `${input}.${createHmac(DIGESTS[alg] ?? "sha256", key)
      .update(input)
      .digest("base64url")}`;
  }

  function badTokens(): string[] {
    const none = encode({ alg: "none", typ: "at+jwt", kid: "1" });
    const other = usual === "EdDSA" ? "HS256" : "EdDSA";
    const flipped = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
    return [
      sign({ alg: "HS512" }),
      sign({ alg: "HS384" }),
      sign({ typ: "JWT" }),
      sign({ change: { exp: 1 } }),
      sign({ change: { sid: uuidv7() } }),
      sign({ change: { sub: { $ne: null } } }),
      sign({ change: { sid: ["x"] } }),
      sign({ key: new Uint8Array(32) }),
      sign({ kid: null }),
      sign({ kid: "2" }),
      sign({ kid: "" }),
      sign({ kid: 1 }),
      sign({ kid: ["1"] }),
      sign({ kid: "__proto__" }),
      sign({ alg: other }),
      sign({ alg: "ES256" }),
      ...publicFormsOf(serverPair.publicKey).map((key) => sign({ alg: "HS256", key })),
      sign({ change: { iat: Math.floor(Date.now() / 1_000) + 365 * 86_400 } }),
      sign({ change: { nbf: Math.floor(Date.now() / 1_000) + 3_600 } }),
      sign({ change: { iat: Number(claims["exp"]) + 1 } }),
      sign({ change: { jti: "" } }),
      rs256(claims),
      `${none}.${payload}.`,
      `${none}.${payload}`,
      `${none}.${payload}.${signature}`,
      `${encode({ alg: "None", typ: "at+jwt", kid: "1" })}.${payload}.`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${header}.${payload}.${flipped}`,
      `${header}.${payload}.${signature}.${signature}`,
      `${header}.${encode({ ...claims, sub: uuidv7() })}.${signature}`,
      `${header}..${signature}`,
      `.${payload}.${signature}`,
      "..",
      "...",
      ".",
      "a.b.c",
      "x",
      "null",
      "undefined",
      "[object%20Object]",
      "0".repeat(200),
      "A".repeat(4_097),
      `${encode("{")}.${payload}.${signature}`,
      `${encode("null")}.${payload}.${signature}`,
      `${encode("[]")}.${payload}.${signature}`,
      `${header}.${encode("null")}.${signature}`,
      `${header}.${encode("{".repeat(1_000))}.${signature}`,
      `${encode({ alg: "HS256", typ: "at+jwt", kid: "1", crit: ["exp"] })}.${payload}.${signature}`,
      `${encode({ alg: "HS256", typ: "at+jwt", kid: "1", b64: false, crit: ["b64"] })}.${payload}.${signature}`,
      `${encode({ alg: "dir", enc: "A256GCM" })}.${payload}.${signature}.a.b`,
      `${encode({ alg: "HS256", typ: "at+jwt", kid: "../../etc/passwd" })}.${payload}.${signature}`,
      `${encode({ alg: "HS256", typ: "at+jwt", kid: "1", jku: "https://elsewhere.example/keys" })}.${payload}.${signature}`,
      `'%20or%201=1--`,
      `${good}%00`,
    ];
  }

  return { claims, sign, badTokens };
}

/** What an attacker can make of a public key, who hopes that it is taken for a secret (RFC 8725 section 2.1). */
function publicFormsOf(key: KeyObject): Uint8Array[] {
  const jwk = key.export({ format: "jwk" });
  const pem = key.export({ format: "pem", type: "spki" }).toString();
  const texts = [pem, pem.trim(), jwk.x ?? "", JSON.stringify(jwk)];
  return [
    new Uint8Array(Buffer.from(jwk.x ?? "", "base64url")),
    new Uint8Array(key.export({ format: "der", type: "spki" })),
    ...texts.map((text) => new TextEncoder().encode(text)),
  ];
}

function ed25519Of(seed: Uint8Array): { privateKey: KeyObject; publicKey: KeyObject } {
  const head = Buffer.from("302e020100300506032b657004220420", "hex"); // RFC 8410 section 7
  const privateKey = createPrivateKey({ key: Buffer.concat([head, seed]), format: "der", type: "pkcs8" });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

function rs256(claims: object): string {
  const input = `${encode({ alg: "RS256", typ: "at+jwt", kid: "1" })}.${encode(claims)}`;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  return `${input}.${signRaw("sha256", Buffer.from(input), privateKey).toString("base64url")}`;
}

function encode(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}
