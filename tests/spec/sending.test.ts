/** SPEC.md, "Sending". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, newMessageId } from "../../src/protocol/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import type { Peer } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";
import { countEvents, holdHead, pair, range, STARTING_MS, seqs, storedLog } from "./support.ts";

const HOUR_MS = 60 * 60 * 1_000;
/** Of a message that ends while the test waits: long enough to be delivered before. */
const LIFE_S = 4;

let server: TestApp;
beforeAll(async () => {
  server = await startApp();
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

/** What a message was answered. */
function answerOf(
  peer: Peer,
  id: string,
): Promise<{ type: string; code?: string; seq: number; retryable?: boolean; details?: { first?: string } }> {
  return peer.match((frame) => (frame.type === "receipt" || frame.type === "error") && frame.id === id);
}

describe("sending", () => {
  test("message is answered by a receipt after its commit [MSG-1]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const receipt = await a.say(id, "c2VjcmV0", { ref: "mine" });
    expect(receipt).toEqual({
      type: "receipt",
      ref: "mine",
      conversation_id: id,
      id: receipt.id,
      seq: 2,
      created_at: expect.any(String),
      in_order: true,
    });
    const [, row] = await storedLog(server.db, id);
    expect(row).toMatchObject({ seq: 2, id: receipt.id, sender: ann.id });
  });

  test("no receipt comes while the commit waits [MSG-1]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const head = await holdHead(server.db, id);
    const message = a.post(id, "waits");
    await a.settled();
    expect(a.frames.some((frame) => frame.id === message)).toBe(false);
    expect(await storedLog(server.db, id)).toHaveLength(1);
    await head.release();
    expect(await answerOf(a, message)).toMatchObject({ type: "receipt", seq: 2 });
    expect((await b.next("message")).id).toBe(message);
  });

  test("a message whose sender has gone meanwhile reaches the others all the same [MSG-1]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const head = await holdHead(server.db, id);
    const message = a.post(id, "the last word");
    await a.settled();
    await a.close();
    await head.release();
    expect((await b.next("message")).id).toBe(message);
  });

  test("the same id, sender and body give the same seq and store nothing, from any socket and over HTTP [MSG-2]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const first = await a.say(id, "once");
    using second = await (await ann.signIn()).live();
    for (const peer of [a, second]) {
      const again = await peer.say(id, "once", { id: first.id });
      expect(again).toMatchObject({ type: "receipt", seq: first.seq, created_at: first.created_at });
    }
    const post = await ann.request("POST", `/api/conversations/${id}/messages`, {
      id: first.id,
      encrypted_content: "once",
    });
    expect(post.status).toBe(200);
    expect(post.json.seq).toBe(first.seq);
    expect(await storedLog(server.db, id)).toHaveLength(2);
    await b.settled();
    expect(seqs(b, id)).toEqual([1, 2]);
  });

  test("the same id twice at once, from two sockets, is stored once [MSG-2]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    using second = await (await ann.signIn()).live();
    const ids = Array.from({ length: 20 }, () => newMessageId());
    for (const one of ids) for (const peer of [a, second]) peer.post(id, "twice", { id: one });
    for (const peer of [a, second]) {
      await peer.until((frames) =>
        ids.every((one) => frames.some((frame) => frame.type === "receipt" && frame.id === one)),
      );
    }
    const seqOf = (peer: Peer) =>
      ids.map((one) => peer.frames.find((frame) => frame.type === "receipt" && frame.id === one)?.seq);
    expect(seqOf(a)).toEqual(seqOf(second));
    expect((await storedLog(server.db, id)).map((row) => row.seq)).toEqual(range(1, 21));
  });

  test("another body is idempotency_conflict, another sender's id is conflict, and nothing is stored [MSG-2]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const first = await a.say(id, "original", { encryption_iv: "aXY=" });
    for (const more of [
      { encryption_iv: "b3RoZXI=" },
      {},
      { encryption_iv: "aXY=", message_type: "image" },
      { encryption_iv: "aXY=", expires_in: 60 },
    ]) {
      expect(await a.say(id, "original", { id: first.id, ...more })).toMatchObject({
        type: "error",
        code: "idempotency_conflict",
        retryable: false,
      });
    }
    expect(await a.say(id, "changed", { id: first.id, encryption_iv: "aXY=" })).toMatchObject({
      code: "idempotency_conflict",
    });
    for (const text of ["original", "changed"]) {
      expect(await b.say(id, text, { id: first.id, encryption_iv: "aXY=" })).toMatchObject({
        type: "error",
        code: "conflict",
        id: first.id,
      });
    }
    expect(await storedLog(server.db, id)).toHaveLength(2);
    await a.settled();
  });

  test("an id outside the window is refused in both directions, and nothing is stored [MSG-7]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const before = await countEvents(server.db);
    for (const hours of [-25, 25, -24 * 365, 24 * 365]) {
      const refused = await a.say(id, "late", { id: newMessageId(Date.now() + hours * HOUR_MS) });
      expect(refused).toMatchObject({ type: "error", code: "id_out_of_window", retryable: false });
    }
    expect(await countEvents(server.db)).toBe(before);
    for (const hours of [-23, 23]) {
      expect((await a.say(id, "fits", { id: newMessageId(Date.now() + hours * HOUR_MS) })).type).toBe("receipt");
    }
  });

  test("an id that has left the window since it was stored gets its receipt again [MSG-7]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const old = newMessageId(Date.now() - 40 * HOUR_MS);
    const first = await a.say(id, "kept");
    // As if it had been stored in its time: a day and a half ago.
    await server.db.query("update events set id = $1 where id = $2", [old, first.id]);
    expect(await a.say(id, "kept", { id: old })).toMatchObject({ type: "receipt", seq: first.seq });
    expect(await storedLog(server.db, id)).toHaveLength(2);
  });

  test("a conversation that is not there, not the sender's, or left, is refused alike [MSG-8]", async () => {
    const { ann, ben, id } = await pair(server);
    const stranger = await server.person();
    using b = await ben.live();
    using s = await stranger.live();
    await ann.request("DELETE", `/api/conversations/${id}/participants/${ben.id}`);
    await b.next("conversation_left");
    const before = await countEvents(server.db);
    const known = (await storedLog(server.db, id))[0];
    const strange = (error: { request_id?: string; id?: string; ref?: string }) => ({
      ...error,
      request_id: "",
      id: "",
      ref: "",
    });
    const attempts: Record<string, object> = {
      fitting: {},
      "other encryption": { encrypted_content: undefined, content: "plain" },
      "old id": { id: newMessageId(Date.now() - 30 * HOUR_MS) },
      "known id": { id: known?.id },
    };
    for (const [what, more] of Object.entries(attempts)) {
      const fresh = () => ("id" in more ? more : { ...more, id: newMessageId() });
      const nowhere = await s.say(crypto.randomUUID() as ConversationId, "text", fresh());
      const foreign = await s.say(id, "text", fresh());
      const left = await b.say(id, "text", fresh());
      expect({ what, code: nowhere.code, retryable: nowhere.retryable }).toEqual({
        what,
        code: "conversation_not_found",
        retryable: false,
      });
      expect({ what, ...strange(foreign) }).toEqual({ what, ...strange(nowhere) });
      expect({ what, ...strange(left) }).toEqual({ what, ...strange(nowhere) });
    }
    expect(await countEvents(server.db)).toBe(before);
    await s.settled();
  });

  test("who left still gets the receipt of what was stored before [MSG-8]", async () => {
    const { ann, ben, id } = await pair(server);
    using b = await ben.live();
    const first = await b.say(id, "before");
    await ann.request("DELETE", `/api/conversations/${id}/participants/${ben.id}`);
    expect(await b.say(id, "before", { id: first.id })).toMatchObject({ type: "receipt", seq: first.seq });
  });

  test("content that does not fit the encryption is refused, nothing is stored, and the socket lives [MSG-9]", async () => {
    const { ann, ben, id: opaque } = await pair(server);
    const sealed = await ann.group([ben], { encryption: "server" });
    using a = await ann.live();
    using b = await ben.live();
    const before = await countEvents(server.db);
    const wrong: [ConversationId, object][] = [
      [opaque, { content: "plain" }],
      [opaque, { content: "plain", encrypted_content: "Y2lwaGVy" }],
      [opaque, {}],
      [sealed, { encrypted_content: "Y2lwaGVy" }],
      [sealed, { content: "plain", encrypted_content: "Y2lwaGVy" }],
      [sealed, { content: "plain", encryption_iv: "aXY=" }],
      [sealed, {}],
    ];
    for (const [id, content] of wrong) {
      const refused = await a.say(id, "", { encrypted_content: undefined, ...content });
      expect({ content, code: refused.code, retryable: refused.retryable }).toEqual({
        content,
        code: "encryption_mismatch",
        retryable: false,
      });
    }
    expect(await countEvents(server.db)).toBe(before);
    expect((await a.say(sealed, "", { encrypted_content: undefined, content: "plain" })).type).toBe("receipt");
    expect((await b.next("message")).content).toBe("plain");
    const [row] = await server.db.query<{ body: Uint8Array }>(
      "select body from events where conversation = $1 and kind = 1",
      [sealed],
    );
    expect(Buffer.from(row?.body ?? []).toString("latin1")).not.toContain("plain");
  });

  test("expires_in ends an entry, which stays as a tombstone with its seq and id [MSG-10]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const kept = await a.say(id, "kept");
    const brief = await a.say(id, "brief", { expires_in: LIFE_S });
    expect(Date.parse(brief.expires_at) - Date.parse(brief.created_at)).toBe(LIFE_S * 1_000);
    expect(kept.expires_at).toBeUndefined();
    expect((await b.match((frame) => frame.seq === brief.seq)).expires_at).toBe(brief.expires_at);
    await waitUntil("the entry has ended", () => Date.now() > Date.parse(brief.expires_at));
    b.send({ type: "resume", cursors: { [id]: 1 } });
    const tombstone = await b.next("tombstone");
    expect(tombstone).toMatchObject({ seq: brief.seq, id: brief.id, sender_id: ann.id, reason: "expired" });
    expect(JSON.stringify(tombstone)).not.toContain("brief");
    // A retry is known from another body even now.
    expect(await a.say(id, "brief", { id: brief.id, expires_in: LIFE_S })).toMatchObject({
      type: "receipt",
      seq: brief.seq,
    });
    expect(await a.say(id, "other", { id: brief.id, expires_in: LIFE_S })).toMatchObject({
      code: "idempotency_conflict",
    });
  });

  test("expires_in never goes beyond the conversation's retention [MSG-10]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const id = await (ann as Person).group([ben as Person], { retention_seconds: 100 });
    using a = await ann.live();
    for (const [expiresIn, lifetime] of [
      [undefined, 100],
      [50, 50],
      [1_000, 100],
    ] as const) {
      const receipt = await a.say(id, "text", { expires_in: expiresIn });
      expect(Date.parse(receipt.expires_at) - Date.parse(receipt.created_at)).toBe(lifetime * 1_000);
    }
  });
});
