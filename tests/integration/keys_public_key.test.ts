/** Public keys: what is read as one, their history, and changes at once. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { getPublicKey, parsePublicKey, setPublicKey } from "../../src/keys/mod.ts";
import { AccountId, uuidv7 } from "../../src/protocol/mod.ts";
import { type Edge, signUpSomebody, startEdge } from "../support/edge_server.ts";

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge[Symbol.asyncDispose]());

const spki = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const ed25519 = () => spki(generateKeyPairSync("ed25519").publicKey);
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });

function refusal(pem: string): string {
  try {
    parsePublicKey(pem);
    return "read";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

/** Wraps DER in a PEM block. */
const pem = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64")}\n-----END ${label}-----\n`;

/** An RSA key of any numbers, as PKCS #1 (RFC 8017 appendix A.1.1). */
function rsaPem(modulus: Uint8Array, exponent: number[]): string {
  const tlv = (tag: number, value: Uint8Array) => {
    const length = value.length < 128 ? [value.length] : [0x82, value.length >> 8, value.length & 255];
    return Buffer.concat([Buffer.from([tag, ...length]), value]);
  };
  const integer = (value: Uint8Array) =>
    tlv(0x02, (value[0] ?? 0) > 127 ? Buffer.concat([Buffer.from([0]), value]) : value);
  return pem("RSA PUBLIC KEY", tlv(0x30, Buffer.concat([integer(modulus), integer(Buffer.from(exponent))])));
}

describe("parsePublicKey()", () => {
  test.each<[string, () => KeyObject]>([
    ["RSA", () => rsa.publicKey],
    ["P-256", () => generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey],
    ["P-384", () => generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey],
    ["P-521", () => generateKeyPairSync("ec", { namedCurve: "P-521" }).publicKey],
    ["X25519", () => generateKeyPairSync("x25519").publicKey],
    ["Ed25519", () => generateKeyPairSync("ed25519").publicKey],
  ])("reads %s, and knows it again with other line ends", (algorithm, make) => {
    const key = make();
    const parsed = parsePublicKey(spki(key));
    expect(parsed.algorithm as string).toBe(algorithm);
    const der = key.export({ type: "spki", format: "der" });
    expect(Buffer.from(parsed.fingerprint)).toEqual(createHash("sha256").update(der).digest());
    const rewrapped = `\r\n${spki(key).replaceAll("\n", "\r\n")}  `;
    expect(parsePublicKey(rewrapped).fingerprint).toEqual(parsed.fingerprint);
  });

  test("reads PKCS #1 as the same key", () => {
    const pkcs1 = rsa.publicKey.export({ type: "pkcs1", format: "pem" }).toString();
    expect(parsePublicKey(pkcs1)).toEqual(parsePublicKey(spki(rsa.publicKey)));
  });

  test("refuses private keys of every form, also beside a public one", () => {
    const forms = [
      rsa.privateKey.export({ type: "pkcs8", format: "pem" }),
      rsa.privateKey.export({ type: "pkcs1", format: "pem" }),
      rsa.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }),
      "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
      spki(rsa.publicKey) + rsa.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    ];
    for (const form of forms) expect(refusal(form.toString())).toBe("private_key_refused");
    // A private key under the label of a public one is not read either.
    const disguised = rsa.privateKey.export({ type: "pkcs8", format: "der" });
    expect(refusal(pem("PUBLIC KEY", disguised))).toBe("bad_public_key");
  });

  const der = rsa.publicKey.export({ type: "spki", format: "der" });
  const modulus = Buffer.from(rsa.publicKey.export({ format: "jwk" }).n ?? "", "base64url");
  test.each<[string, string]>([
    ["nothing", ""],
    ["a text", "no key at all"],
    ["two keys", spki(rsa.publicKey) + spki(rsa.publicKey)],
    ["a text before it", `key: ${spki(rsa.publicKey)}`],
    ["a text behind it", `${spki(rsa.publicKey)}x`],
    ["a certificate's label", pem("CERTIFICATE", der)],
    ["labels that differ", spki(rsa.publicKey).replace("END PUBLIC", "END RSA PUBLIC")],
    ["the wrong label", pem("RSA PUBLIC KEY", der)],
    ["bytes behind the structure", pem("PUBLIC KEY", Buffer.concat([der, Buffer.from([0])]))],
    ["a structure that is cut", pem("PUBLIC KEY", der.subarray(0, -1))],
    ["an empty structure", pem("PUBLIC KEY", Buffer.from([0x30, 0]))],
    ["1024 bits", spki(generateKeyPairSync("rsa", { modulusLength: 1_024 }).publicKey)],
    ["8256 bits", rsaPem(Buffer.concat([Buffer.alloc(1_031, 0xff), Buffer.from([0xfd])]), [1, 0, 1])],
    ["exponent 1", rsaPem(modulus, [1])],
    ["exponent 3", rsaPem(modulus, [3])],
    ["an even exponent", rsaPem(modulus, [1, 0, 0])],
    ["an even modulus", rsaPem(Buffer.concat([modulus.subarray(0, -1), Buffer.from([0xfe])]), [1, 0, 1])],
    ["too many characters", `${" ".repeat(4_096)}${spki(rsa.publicKey)}`],
    [
      "a curve that is not offered (secp256k1)",
      "-----BEGIN PUBLIC KEY-----\nMFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEeb5mfvncu6xVoGKVzocLBwKb/NstzijZWfKBWxb4F5hIOtp3JqPEZV2k+/wOEQio/Re0SKaFVBmcR9CP+xDUuA==\n-----END PUBLIC KEY-----",
    ],
    [
      "a point that is not on its curve",
      pem(
        "PUBLIC KEY",
        Buffer.concat([
          Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
          Buffer.alloc(64, 7),
        ]),
      ),
    ],
  ])("refuses %s", (_, text) => {
    expect(refusal(text)).toBe("bad_public_key");
  });

  test("says nothing of the text in a refusal", () => {
    try {
      parsePublicKey("canary-in-a-key");
      expect.unreachable();
    } catch (error) {
      expect(Bun.inspect(error)).not.toContain("canary");
    }
  });
});

describe("setPublicKey()", () => {
  const keys = () => ({ db: edge.db, clock: edge.clock });
  const account = async () => AccountId.parse((await signUpSomebody(edge)).user.id);
  const versions = async (id: AccountId) =>
    (
      await edge.db.query<{ version: number }>("select version from public_keys where account = $1 order by version", [
        id,
      ])
    ).map((row) => row.version);

  test("keeps the history; the current key again changes nothing, an earlier one is refused", async () => {
    const accountId = await account();
    const [first, second] = [ed25519(), ed25519()];
    const set = (text: string) => setPublicKey(keys(), { accountId, pem: text });
    expect((await set(first)).changed).toBe(true);
    expect((await set(first)).changed).toBe(false);
    expect(await set(second)).toMatchObject({ changed: true, key: { version: 2, public_key: second } });
    await expect(set(first)).rejects.toMatchObject({ code: "key_reused" });
    expect((await set(second)).changed).toBe(false);
    expect(await versions(accountId)).toEqual([1, 2]);
    expect(await getPublicKey(keys(), accountId)).toMatchObject({ public_key: second, algorithm: "Ed25519" });
  });

  test("of the same key thirty times at once changes it once", async () => {
    const accountId = await account();
    const text = ed25519();
    const results = await Promise.all(Array.from({ length: 30 }, () => setPublicKey(keys(), { accountId, pem: text })));
    expect(results.filter((result) => result.changed)).toHaveLength(1);
    expect(await versions(accountId)).toEqual([1]);
  });

  test("of thirty keys at once keeps each, numbered without a gap, and one of them is current", async () => {
    const accountId = await account();
    const texts = Array.from({ length: 30 }, ed25519);
    const results = await Promise.all(texts.map((text) => setPublicKey(keys(), { accountId, pem: text })));
    expect(await versions(accountId)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    const last = results.find((result) => result.key.version === 30);
    expect((await getPublicKey(keys(), accountId))?.fingerprint).toBe(last?.key.fingerprint ?? "");
  });

  test("lets two accounts have the same key", async () => {
    const text = ed25519();
    for (const accountId of [await account(), await account()]) {
      expect((await setPublicKey(keys(), { accountId, pem: text })).changed).toBe(true);
    }
  });
});

describe("GET /api/users/{id}/public-key", () => {
  test("gives the current key to who is signed in", async () => {
    const text = ed25519();
    const owner = await signUpSomebody(edge, { public_key: text });
    const reader = await signUpSomebody(edge);
    const answer = await edge.request("GET", `/api/users/${owner.user.id}/public-key`, { token: reader.access_token });
    expect(answer.status).toBe(200);
    expect(answer.json as object).toMatchObject({ user_id: owner.user.id, public_key: text, version: 1 });
    expect(answer.json.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  test("does not tell an account without a key from none", async () => {
    const [reader, keyless] = [await signUpSomebody(edge), await signUpSomebody(edge)];
    const ask = (id: string) => edge.request("GET", `/api/users/${id}/public-key`, { token: reader.access_token });
    const answers = await Promise.all([keyless.user.id, uuidv7(), "not-an-id"].map(ask));
    for (const answer of answers) expect([answer.status, answer.json.error.code]).toEqual([404, "not_found"]);
  });
});
