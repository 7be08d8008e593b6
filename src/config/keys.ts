/** Variables that hold secrets, judged together. Each fault is one sentence in `problems`, and holds none of them. */
import { deriveKey } from "../platform/secrets.ts";
import type { EncryptionKey, MachineDefaults, SigningKey } from "./shape.ts";
import type { Variables } from "./variables.ts";

/** The secret that keys are derived from. */
export function readSecretKey(
  variables: Variables,
  production: boolean,
  machine: MachineDefaults,
  problems: string[],
): string {
  const secret = variables.SECRET_KEY;
  if (secret === undefined) {
    if (production) problems.push("Set SECRET_KEY in production, as made by: openssl rand -base64 48");
    return machine.secretKey;
  }
  if (production && secret.length < 32) {
    problems.push(`Set SECRET_KEY to at least 32 characters in production: current length is ${secret.length}`);
  } else if (production && isGuessable(secret)) {
    problems.push(
      "Set SECRET_KEY to a value of your own, as made by: openssl rand -base64 48: the current one is a known example",
    );
  } else if (production && secret === variables.ENCRYPTION_KEY) {
    problems.push("Set SECRET_KEY and ENCRYPTION_KEY to different values: they protect different things");
  }
  return secret;
}

/** Examples and placeholders that find their way into real installations. */
function isGuessable(secret: string): boolean {
  return (
    new Set(secret).size < 8 ||
    /change.?(me|this|it)|your.?(secret|key|encryption)|example|default|(secret|encryption).?key|placeholder|0123456789|password/i.test(
      secret,
    )
  );
}

/**
 * `id:key,id:key`, or `id:algorithm:key` where a key's algorithm is not ALGORITHM, as while one algorithm follows
 * another. The word SECRET_KEY in the place of a key is the key of a server without a ring, so that one can
 * begin a ring without refusing the tokens of before.
 */
export function readSigningKeys(
  variables: Variables,
  production: boolean,
  secretKey: string,
  problems: string[],
): SigningKey[] {
  const { ALGORITHM: standard = "HS256", SIGNING_KEYS: ring } = variables;
  const entries = (ring ?? "1:SECRET_KEY").split(",").map((entry) => entry.trim().split(":"));
  if (entries.some(([id = "", ...rest]) => !/^[\w-]{1,32}$/.test(id) || rest.length < 1 || rest.length > 2)) {
    problems.push("Set SIGNING_KEYS to id:key pairs joined by commas, each id 1 to 32 letters, digits, _ or -");
    return [];
  }
  if (new Set(entries.map(([id]) => id)).size < entries.length)
    problems.push("Set SIGNING_KEYS so that every id occurs once");
  const keys = entries.map(([id = "", ...rest]) => {
    const [named, text = ""] = rest.length === 2 ? rest : [standard, ...rest];
    if (named !== "HS256" && named !== "EdDSA")
      problems.push("Set SIGNING_KEYS to id:algorithm:key with HS256 or EdDSA where an algorithm is named");
    const algorithm = named === "EdDSA" ? named : "HS256";
    const key = text === "SECRET_KEY" ? deriveKey(secretKey, LONE_KEY_USES[algorithm]) : decodeKey(text);
    return { id, algorithm, key, text } as const;
  });
  if (keys.some(({ key }) => key === null))
    problems.push("Set SIGNING_KEYS to 32 bytes as hex, base64 or 32 ASCII characters each");
  const known = ({ key, text }: (typeof keys)[number]) =>
    text !== "SECRET_KEY" && key !== null && (new Set(key).size < 8 || isGuessable(text));
  if (production && keys.some(known)) {
    problems.push(
      "Set SIGNING_KEYS to values of your own, as made by: openssl rand -hex 32: one of them is a known example",
    );
  }
  const { ENCRYPTION_KEY: one = "", ENCRYPTION_KEYS: others = "" } = variables;
  if (production && keys.some(({ key, text }) => key !== null && `${one},${others}`.includes(text)))
    problems.push("Set SIGNING_KEYS and ENCRYPTION_KEY to different values: they protect different things");
  return keys.flatMap(({ id, algorithm, key }) => (key === null ? [] : [{ id, algorithm, key }]));
}

/** What SECRET_KEY is used for where it stands for a signing key. */
const LONE_KEY_USES = { HS256: "sotto access token", EdDSA: "sotto access token seed" } as const;

/** What encrypts at rest, the active one first. */
export function readEncryptionKeys(
  variables: Variables,
  production: boolean,
  machine: MachineDefaults,
  problems: string[],
): EncryptionKey[] {
  const { ENCRYPTION_KEY: one, ENCRYPTION_KEYS: ring } = variables;
  if (one !== undefined && ring !== undefined) {
    problems.push("Set ENCRYPTION_KEY or ENCRYPTION_KEYS, not both: the first of ENCRYPTION_KEYS is the active one");
    return [];
  }
  if (one === undefined && ring === undefined && production) {
    problems.push("Set ENCRYPTION_KEY in production, as made by: openssl rand -hex 32");
    return [];
  }
  // A single key is number 1, so a later ENCRYPTION_KEYS=2:new,1:old still finds what it encrypted.
  const entries =
    ring === undefined ? [{ id: "1", text: one ?? machine.encryptionKey }] : ring.split(",").map(splitEntry);
  const name = ring === undefined ? "ENCRYPTION_KEY" : "ENCRYPTION_KEYS";
  const keys = entries.map(({ id, text }) => ({ id, text, key: decodeKey(text) }));
  if (keys.some(({ id }) => !/^[\w-]{1,32}$/.test(id)))
    problems.push(`Set ${name} to id:key pairs joined by commas, each id 1 to 32 letters, digits, _ or -`);
  if (new Set(keys.map(({ id }) => id)).size < keys.length) problems.push(`Set ${name} so that every id occurs once`);
  if (keys.some(({ key }) => key === null))
    problems.push(`Set ${name} to 32 bytes as hex, base64 or 32 ASCII characters each`);
  if (production && keys.some(({ key, text }) => key !== null && (new Set(key).size < 8 || isGuessable(text)))) {
    problems.push(
      `Set ${name} to a value of your own, as made by: openssl rand -hex 32: the current one is a known example`,
    );
  }
  return keys.flatMap(({ id, key }) => (key === null ? [] : [{ id, key }]));
}

function splitEntry(entry: string): { id: string; text: string } {
  const at = entry.indexOf(":");
  return at < 0 ? { id: "", text: entry.trim() } : { id: entry.slice(0, at).trim(), text: entry.slice(at + 1).trim() };
}

function decodeKey(text: string): Uint8Array | null {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return new Uint8Array(Buffer.from(text, "hex"));
  if (/^[\x20-\x7e]{32}$/.test(text)) return new TextEncoder().encode(text);
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  return bytes.length === 32 ? bytes : null;
}
