/**
 * End-to-end encryption with PEM keys: a JWE (RFC 7516) inside a JWS (RFC 7515), made with `jose`.
 *
 * - **One RSA key per account.** The server keeps one public key per account, so the same RSA key
 *   (3072 bits) encrypts (RSA-OAEP-256) and signs (PS256). WebCrypto imports it once for each
 *   use; the two schemes pad differently, and neither's output is valid input for the other.
 * - **Signed outside, bound inside.** The signature's header names sender, conversation and message
 *   id, and the JWE authenticates the same three as additional data. So the server can
 *   neither move a ciphertext to another conversation, nor repeat it under another id, nor give it
 *   another sender, nor pass an edit for one of another message, and no member can sign a stranger's ciphertext as their own.
 * - The content is encrypted once (A256CBC-HS512); each reader, the sender included, has a wrapped key.
 * - **No forward secrecy.** Who obtains a private key can read every message ever sent to it, and
 *   sign as its owner. What is not hidden: who writes to whom, when, how much, and `reply_to`.
 */
import {
  CompactSign,
  compactVerify,
  decodeProtectedHeader,
  exportPKCS8,
  exportSPKI,
  GeneralEncrypt,
  type GeneralJWE,
  generalDecrypt,
  generateKeyPair,
  importPKCS8,
  importSPKI,
} from "jose";
import { type AccountId, type ConversationId, LIMITS, type MessageId } from "../protocol/mod.ts";
import { SottoError } from "./sotto_error.ts";

/** An account's keys as PEM; the private one never leaves the device. */
export interface PemKeys {
  /** SubjectPublicKeyInfo. */
  readonly publicKey: string;
  /** PKCS #8, unencrypted. */
  readonly privateKey: string;
}

/** Where a message belongs; a ciphertext is good for exactly one such place. */
export interface MessageContext {
  readonly senderId: AccountId;
  readonly conversationId: ConversationId;
  /** The entry's own id. */
  readonly id: MessageId;
  /** Of an edit: the message that it belongs to. */
  readonly edits?: MessageId | undefined;
}

/**
 * Why a message could not be read:
 *
 * - `malformed`, `too_large`: it is not such a message, or larger than one may be.
 * - `unknown_signer`: signed with a key that is not accepted for the sender.
 * - `bad_signature`: changed after it was signed.
 * - `wrong_sender`, `wrong_conversation`, `wrong_message`: signed for another place.
 * - `not_a_recipient`: not encrypted for this key.
 * - `undecryptable`: the signature is good, and yet the content does not open.
 */
export type DecryptionFault =
  | "malformed"
  | "too_large"
  | "unknown_signer"
  | "bad_signature"
  | "wrong_sender"
  | "wrong_conversation"
  | "wrong_message"
  | "not_a_recipient"
  | "undecryptable";

/** A message that could not be read; `fault` names why. */
export class DecryptionError extends Error {
  override readonly name = "DecryptionError";
  readonly fault: DecryptionFault;

  constructor(fault: DecryptionFault, cause?: unknown) {
    super(`Do not trust this message: ${fault}`, { cause });
    this.fault = fault;
  }
}

const SIGNATURE = "PS256";
const KEY_WRAP = "RSA-OAEP-256";
const CONTENT = "A256CBC-HS512";
const TYPE = "sotto-pem-v1";

/** Makes a key pair. `bits`: length of the modulus, 2048 at least. */
export async function generatePemKeys(bits = 3_072): Promise<PemKeys> {
  const pair = await generateKeyPair(KEY_WRAP, { modulusLength: bits, extractable: true });
  return { publicKey: await exportSPKI(pair.publicKey), privateKey: await exportPKCS8(pair.privateKey) };
}

/** SHA-256 of a public key's DER as lower-case hex, as the server gives it too. */
export async function fingerprintOf(publicKey: string): Promise<string> {
  const base64 = publicKey.replace(/-----[^-]+-----|\s/g, "");
  const der = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Encrypts `plaintext` for the owners of `readers` (public keys as PEM) and for the sender, and
 * signs it. Gives what goes into `encrypted_content`. Throws `payload_too_large` where it
 * does not fit: about 45 KB of text for two readers, and 0.8 KB less for each further one.
 */
export async function encryptFor(
  readers: readonly string[],
  plaintext: string,
  options: { readonly keys: PemKeys; readonly context: MessageContext },
): Promise<string> {
  const { keys, context } = options;
  const jwe = new GeneralEncrypt(new TextEncoder().encode(plaintext))
    .setProtectedHeader({ enc: CONTENT })
    .setAdditionalAuthenticatedData(boundTo(context));
  for (const pem of new Set([...readers, keys.publicKey].map((reader) => reader.trim()))) {
    jwe
      .addRecipient(await importSPKI(pem, KEY_WRAP))
      .setUnprotectedHeader({ alg: KEY_WRAP, kid: await fingerprintOf(pem) });
  }
  const payload = new TextEncoder().encode(JSON.stringify(await jwe.encrypt()));
  const text = await new CompactSign(payload)
    .setProtectedHeader({
      alg: SIGNATURE,
      typ: TYPE,
      cty: "jwe+json",
      kid: await fingerprintOf(keys.publicKey),
      sender_id: context.senderId,
      conversation_id: context.conversationId,
      message_id: context.id,
      ...(context.edits === undefined ? {} : { edits: context.edits }),
    })
    .sign(await importPKCS8(keys.privateKey, SIGNATURE));
  if (text.length <= LIMITS.contentChars) return text;
  throw new SottoError("payload_too_large", `Send less: the encrypted message has ${text.length} characters`, {
    details: { limit: LIMITS.contentChars },
  });
}

/**
 * Verifies, then decrypts. `senderKeys`: the public keys (PEM) accepted for the sender; `context`: where
 * the message was found, as the server says. Throws {@link DecryptionError}.
 */
export async function decrypt(
  text: string,
  options: { readonly keys: PemKeys; readonly senderKeys: readonly string[]; readonly context: MessageContext },
): Promise<string> {
  const { keys, senderKeys, context } = options;
  if (text.length > LIMITS.contentChars) throw new DecryptionError("too_large");
  const payload = await verify(text, senderKeys, context);
  return open(payload, keys, context);
}

async function verify(text: string, senderKeys: readonly string[], context: MessageContext): Promise<Uint8Array> {
  const header = headerOf(text);
  if (header.alg !== SIGNATURE || header.typ !== TYPE) throw new DecryptionError("malformed");
  const key = await findKey(senderKeys, header.kid);
  if (key === undefined) throw new DecryptionError("unknown_signer");
  const verifyKey = await importSPKI(key, SIGNATURE);
  const { payload } = await compactVerify(text, verifyKey, { algorithms: [SIGNATURE] }).catch((cause: unknown) => {
    throw new DecryptionError("bad_signature", cause);
  });
  if (header.sender_id !== context.senderId) throw new DecryptionError("wrong_sender");
  if (header.conversation_id !== context.conversationId) throw new DecryptionError("wrong_conversation");
  if (header.message_id !== context.id || header.edits !== context.edits) throw new DecryptionError("wrong_message");
  return payload;
}

async function open(payload: Uint8Array, keys: PemKeys, context: MessageContext): Promise<string> {
  const jwe = readJwe(payload);
  const kid = await fingerprintOf(keys.publicKey);
  const recipients = jwe.recipients.filter((recipient) => recipient.header?.kid === kid);
  if (recipients.length !== 1) throw new DecryptionError("not_a_recipient");
  const key = await importPKCS8(keys.privateKey, KEY_WRAP);
  try {
    const opened = await generalDecrypt({ ...jwe, recipients }, key, {
      keyManagementAlgorithms: [KEY_WRAP],
      contentEncryptionAlgorithms: [CONTENT],
    });
    if (!sameBytes(opened.additionalAuthenticatedData, boundTo(context))) throw new Error("bound to another place");
    return new TextDecoder("utf-8", { fatal: true }).decode(opened.plaintext);
  } catch (cause) {
    throw new DecryptionError("undecryptable", cause);
  }
}

function headerOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return decodeProtectedHeader(text);
  } catch (cause) {
    throw new DecryptionError("malformed", cause);
  }
}

function readJwe(payload: Uint8Array): GeneralJWE {
  try {
    const jwe = JSON.parse(new TextDecoder().decode(payload)) as GeneralJWE;
    if (Array.isArray(jwe.recipients)) return jwe;
  } catch (cause) {
    throw new DecryptionError("malformed", cause);
  }
  throw new DecryptionError("malformed");
}

async function findKey(keys: readonly string[], kid: unknown): Promise<string | undefined> {
  for (const key of keys) if ((await fingerprintOf(key)) === kid) return key;
  return undefined;
}

/** The place as bytes; ids are UUIDs, so the separator cannot be part of one. */
function boundTo(context: MessageContext): Uint8Array {
  const edits = context.edits === undefined ? [] : [context.edits];
  return new TextEncoder().encode([TYPE, context.senderId, context.conversationId, context.id, ...edits].join("|"));
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}
