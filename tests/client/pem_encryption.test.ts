import { beforeAll, describe, expect, test } from "bun:test";
import { CompactSign, decodeProtectedHeader, importPKCS8 } from "jose";
import {
  decrypt,
  encryptFor,
  fingerprintOf,
  generatePemKeys,
  type MessageContext,
  type PemKeys,
} from "../../src/client/mod.ts";
import type { AccountId, ConversationId, MessageId } from "../../src/protocol/mod.ts";

const uuid = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const CONTEXT: MessageContext = {
  senderId: uuid(1) as AccountId,
  conversationId: uuid(2) as ConversationId,
  id: uuid(3) as MessageId,
};

let alice: PemKeys;
let bob: PemKeys;
let eve: PemKeys;

beforeAll(async () => {
  [alice, bob, eve] = await Promise.all([generatePemKeys(2_048), generatePemKeys(2_048), generatePemKeys(2_048)]);
});

const seal = (text = "Meet me at nine") => encryptFor([bob.publicKey], text, { keys: alice, context: CONTEXT });
const open = (text: string, over: { keys?: PemKeys; senderKeys?: string[]; context?: Partial<MessageContext> } = {}) =>
  decrypt(text, {
    keys: over.keys ?? bob,
    senderKeys: over.senderKeys ?? [alice.publicKey],
    context: { ...CONTEXT, ...over.context },
  });

describe("PEM encryption", () => {
  test("is read by every reader and by the sender, as it was written", async () => {
    const text = "Grüße, 世界 🌍 ".repeat(50);
    const sealed = await encryptFor([bob.publicKey, eve.publicKey], text, { keys: alice, context: CONTEXT });
    for (const keys of [alice, bob, eve]) expect(await open(sealed, { keys })).toBe(text);
  });

  test("makes keys of 3072 bits, in PEM that the server takes", async () => {
    const keys = await generatePemKeys();
    expect(keys.publicKey).toStartWith("-----BEGIN PUBLIC KEY-----");
    expect(keys.privateKey).toStartWith("-----BEGIN PRIVATE KEY-----");
    expect(atob(keys.publicKey.replace(/-----[^-]+-----|\s/g, "")).length).toBe(422);
    expect(await fingerprintOf(keys.publicKey)).toMatch(/^[0-9a-f]{64}$/);
  });

  test("shows nothing of the text, and never looks the same twice", async () => {
    const [one, two] = [await seal(), await seal()];
    expect(one).not.toBe(two);
    const layers = one.split(".").map((part) => atob(part.replaceAll("-", "+").replaceAll("_", "/")));
    expect(layers.join("")).not.toContain("Meet");
    expect(decodeProtectedHeader(one).alg).toBe("PS256");
  });

  test("refuses a message that was moved to another conversation, sender or id", async () => {
    const sealed = await seal();
    await expect(open(sealed, { context: { conversationId: uuid(9) as ConversationId } })).rejects.toMatchObject({
      fault: "wrong_conversation",
    });
    await expect(open(sealed, { context: { senderId: uuid(9) as AccountId } })).rejects.toMatchObject({
      fault: "wrong_sender",
    });
    await expect(open(sealed, { context: { id: uuid(9) as MessageId } })).rejects.toMatchObject({
      fault: "wrong_message",
    });
  });

  test("refuses a message with any part changed", async () => {
    const sealed = await seal();
    const [header = "", payload = "", signature = ""] = sealed.split(".");
    const flip = (part: string) => `${part.slice(0, 20)}${part[20] === "A" ? "B" : "A"}${part.slice(21)}`;
    for (const changed of [`${header}.${flip(payload)}.${signature}`, `${header}.${payload}.${flip(signature)}`]) {
      await expect(open(changed)).rejects.toMatchObject({ fault: "bad_signature" });
    }
    const renamed = btoa(JSON.stringify({ ...decodeProtectedHeader(sealed), conversation_id: uuid(9) })).replace(
      /=+$/,
      "",
    );
    const moved = open(`${renamed}.${payload}.${signature}`, {
      context: { conversationId: uuid(9) as ConversationId },
    });
    await expect(moved).rejects.toMatchObject({ fault: "bad_signature" });
  });

  test("refuses a signature by a key that is not the sender's", async () => {
    const forged = await encryptFor([bob.publicKey], "Send money", { keys: eve, context: CONTEXT });
    await expect(open(forged)).rejects.toMatchObject({ fault: "unknown_signer" });
    await expect(open(await seal(), { senderKeys: [] })).rejects.toMatchObject({ fault: "unknown_signer" });
  });

  test("refuses a stranger's ciphertext that a member signed as their own", async () => {
    // Eve takes what Alice encrypted out of Alice's signature and puts it into one of hers.
    const payload = (await seal()).split(".")[1] ?? "";
    const jwe = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    const context = { ...CONTEXT, senderId: uuid(8) as AccountId };
    const stolen = await new CompactSign(jwe)
      .setProtectedHeader({
        alg: "PS256",
        typ: "sotto-pem-v1",
        kid: await fingerprintOf(eve.publicKey),
        sender_id: context.senderId,
        conversation_id: context.conversationId,
        message_id: context.id,
      })
      .sign(await importPKCS8(eve.privateKey, "PS256"));
    await expect(open(stolen, { senderKeys: [eve.publicKey], context })).rejects.toMatchObject({
      fault: "undecryptable",
    });
  });

  test("says when a message is not for this key", async () => {
    await expect(open(await seal(), { keys: eve })).rejects.toMatchObject({ fault: "not_a_recipient" });
  });

  test("says when it is no such message, whatever it is", async () => {
    for (const text of [
      "",
      "hello",
      "a.b.c",
      "..",
      "eyJhbGciOiJub25lIn0.e30.",
      "%%%.%%%.%%%",
      `${"x".repeat(500)}.y.z`,
    ]) {
      await expect(open(text)).rejects.toMatchObject({ fault: "malformed" });
    }
    await expect(open("x".repeat(100_000))).rejects.toMatchObject({ fault: "too_large" });
  });

  test("takes an earlier key of the sender, while it is accepted", async () => {
    expect(await open(await seal(), { senderKeys: [eve.publicKey, alice.publicKey] })).toBe("Meet me at nine");
  });

  test("holds the size limit: 45,000 bytes pass, 60,000 are refused", async () => {
    expect(await open(await seal("x".repeat(45_000)))).toHaveLength(45_000);
    await expect(seal("x".repeat(60_000))).rejects.toMatchObject({ code: "payload_too_large" });
  });
});
