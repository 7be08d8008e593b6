/** Tokens that a server must refuse, made from one that it gave. */
import { createHmac, generateKeyPairSync, sign as signRaw } from "node:crypto";
import { uuidv7 } from "../../src/protocol/mod.ts";

/** How a token differs from the one that it is made from; a claim that is `undefined` is left out. */
export interface Forgery {
  readonly alg?: string;
  readonly typ?: string;
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

/** Makes tokens by the server's own secret, which a test knows and an attacker does not. */
export function tokenForge(good: string, secret: string): TokenForge {
  const serverKey = new Uint8Array(createHmac("sha256", secret).update("sotto access token").digest());
  const [header = "", payload = "", signature = ""] = good.split(".");
  const claims: Record<string, unknown> = JSON.parse(Buffer.from(payload, "base64url").toString());

  function sign({ alg = "HS256", typ = "at+jwt", key = serverKey, change = {} }: Forgery = {}): string {
    // JSON leaves out what is undefined.
    const input = `${encode({ alg, typ })}.${encode({ ...claims, ...change })}`;
    return `${input}.${createHmac(DIGESTS[alg] ?? "sha256", key)
      .update(input)
      .digest("base64url")}`;
  }

  function badTokens(): string[] {
    const none = encode({ alg: "none", typ: "at+jwt" });
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
      rs256(claims),
      `${none}.${payload}.`,
      `${none}.${payload}`,
      `${none}.${payload}.${signature}`,
      `${encode({ alg: "None", typ: "at+jwt" })}.${payload}.`,
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
      `${encode({ alg: "HS256", typ: "at+jwt", crit: ["exp"] })}.${payload}.${signature}`,
      `${encode({ alg: "HS256", typ: "at+jwt", b64: false, crit: ["b64"] })}.${payload}.${signature}`,
      `${encode({ alg: "dir", enc: "A256GCM" })}.${payload}.${signature}.a.b`,
      `${encode({ alg: "HS256", typ: "at+jwt", kid: "../../etc/passwd" })}.${payload}.${signature}`,
      `${encode({ alg: "HS256", typ: "at+jwt", jku: "https://elsewhere.example/keys" })}.${payload}.${signature}`,
      `'%20or%201=1--`,
      `${good}%00`,
    ];
  }

  return { claims, sign, badTokens };
}

function rs256(claims: object): string {
  const input = `${encode({ alg: "RS256", typ: "at+jwt" })}.${encode(claims)}`;
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  return `${input}.${signRaw("sha256", Buffer.from(input), privateKey).toString("base64url")}`;
}

function encode(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}
