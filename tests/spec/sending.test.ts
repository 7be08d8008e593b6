/** SPEC.md, "Sending". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, DomainError, LIMITS, newMessageId } from "../../src/protocol/mod.ts";
import { dispatch } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import type { Peer } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";
import { countEvents, pair, range, seqs, STARTING_MS, storedLog } from "./support.ts";

const HOUR_MS = 60 * 60 * 1_000;

/** While set, the log is said to be overloaded for messages of this content. */
let refusing: string | null = null;
let server: TestApp;
beforeAll(async () => {
  server = await startApp({
    hub: {
      dispatch: (deps, actor, attachment, frame, place) => {
        const sendMessage: typeof deps.sendMessage = (input) =>
          input.content.encrypted_content === refusing ? Promise.reject(new DomainError("overloaded")) : deps.sendMessage(input);
        dispatch({ ...deps, sendMessage }, actor, attachment, frame, place);
      },
    },
  });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

/** Holds a conversation's head, so that nothing can be appended to it, until released. */
async function holdHead(id: ConversationId): Promise<{ release: () => Promise<void> }> {
  const gate = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = server.db.transaction(async (tx) => {
    await tx.query("select 1 from conversations where id = $1 for update", [id]);
    held.resolve();
    await gate.promise;
  });
  await held.promise;
  return {
    release: async () => {
      gate.resolve();
      await holding;
    },
  };
}

/** What a message was answered. */
function answerOf(peer: Peer, id: string): Promise<{ type: string; code?: string; seq: number; retryable?: boolean; details?: { first?: string } }> {
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
    const head = await holdHead(id);
    const message = a.post(id, "waits");
    await a.settled();
    expect(a.frames.some((frame) => frame.id === message)).toBe(false);
    expect(await storedLog(server.db, id)).toHaveLength(1);
    await head.release();
    expect(await answerOf(a, message)).toMatchObject({ type: "receipt", seq: 2 });
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
    const post = await ann.request("POST", `/api/conversations/${id}/messages`, { id: first.id, encrypted_content: "once" });
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
      await peer.until((frames) => ids.every((one) => frames.some((frame) => frame.type === "receipt" && frame.id === one)));
    }
    const seqOf = (peer: Peer) => ids.map((one) => peer.frames.find((frame) => frame.type === "receipt" && frame.id === one)?.seq);
    expect(seqOf(a)).toEqual(seqOf(second));
    expect((await storedLog(server.db, id)).map((row) => row.seq)).toEqual(range(1, 21));
  });

  test("another body is idempotency_conflict, another sender's id is conflict, and nothing is stored [MSG-2]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const first = await a.say(id, "original", { encryption_iv: "aXY=" });
    for (const more of [{ encryption_iv: "b3RoZXI=" }, {}, { encryption_iv: "aXY=", message_type: "image" }, { encryption_iv: "aXY=", expires_in: 60 }]) {
      expect(await a.say(id, "original", { id: first.id, ...more })).toMatchObject({ type: "error", code: "idempotency_conflict", retryable: false });
    }
    expect(await a.say(id, "changed", { id: first.id, encryption_iv: "aXY=" })).toMatchObject({ code: "idempotency_conflict" });
    for (const text of ["original", "changed"]) {
      expect(await b.say(id, text, { id: first.id, encryption_iv: "aXY=" })).toMatchObject({ type: "error", code: "conflict", id: first.id });
    }
    expect(await storedLog(server.db, id)).toHaveLength(2);
    await a.settled();
  });

  test("a receipt in order stands for the event, which is not sent; another socket of the sender gets it [MSG-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using other = await (await ann.signIn()).live();
    using b = await ben.live();
    for (let i = 0; i < 5; i++) expect((await a.say(id, `m${i}`)).in_order).toBe(true);
    await b.until(() => seqs(b, id).length === 6);
    await other.until(() => seqs(other, id).length >= 5);
    await a.settled();
    expect(seqs(a, id)).toEqual([1]);
    expect(seqs(other, id).slice(-5)).toEqual(range(2, 6));
  });

  test("a receipt out of order does not stand for the event, which comes in its turn [MSG-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    for (let i = 0; i < 40; i++) for (const peer of [a, b]) peer.post(id, `m${i}`);
    for (const peer of [a, b]) {
      await peer.until((frames) => frames.filter((frame) => frame.type === "receipt").length === 40);
      await peer.until(() => placedBy(peer, id).length === 81);
      expect(placedBy(peer, id)).toEqual(range(1, 81));
    }
  });

  test("a message before caught_up gets a receipt that does not hide what comes before it [MSG-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await a.say(id, "first");
    using b = await ben.connect();
    b.post(id, "early");
    await b.until(() => placedBy(b, id).length === 3);
    expect(placedBy(b, id)).toEqual([1, 2, 3]);
  });

  test("the messages of one socket are stored in the order they were sent [MSG-4]", async () => {
    const { ann, ben, id } = await pair(server);
    const second = await ann.group([ben]);
    using a = await ann.live();
    using b = await ben.live();
    const sent: Record<string, string[]> = { [id]: [], [second]: [] };
    for (let i = 0; i < 30; i++) for (const one of [id, second]) sent[one]?.push(a.post(one, `m${i}`));
    for (let i = 0; i < 10; i++) b.post(id, `between${i}`);
    await a.until((frames) => frames.filter((frame) => frame.type === "receipt").length === 60);
    await b.until((frames) => frames.filter((frame) => frame.type === "receipt").length === 10);
    for (const one of [id, second]) {
      const rows = (await storedLog(server.db, one)).filter((row) => row.sender === ann.id && row.kind === 1);
      expect(rows.map((row) => row.id as string)).toEqual(sent[one] ?? []);
    }
  });

  test("after a retryable refusal later messages wait for the refused id, other conversations do not [MSG-5]", async () => {
    const { ann, ben, id } = await pair(server);
    const second = await ann.group([ben]);
    using a = await ann.live();
    refusing = "refused";
    const first = a.post(id, "refused");
    expect(await answerOf(a, first)).toMatchObject({ code: "overloaded", retryable: true });
    refusing = null;
    expect(await a.say(id, "later")).toMatchObject({ code: "out_of_order", retryable: true, details: { first } });
    expect(await a.say(second, "elsewhere")).toMatchObject({ type: "receipt" });
    expect(await a.say(id, "refused", { id: first })).toMatchObject({ type: "receipt", seq: 2 });
    expect(await storedLog(server.db, id)).toHaveLength(2);
  });

  test("messages sent in one breath with a refused one do not pass it [MSG-5]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    refusing = "refused";
    const first = a.post(id, "refused");
    const later = Array.from({ length: 30 }, (_, i) => a.post(id, `later${i}`));
    expect(await answerOf(a, first)).toMatchObject({ code: "overloaded" });
    for (const one of later) expect(await answerOf(a, one)).toMatchObject({ code: "out_of_order" });
    refusing = null;
    expect(await storedLog(server.db, id)).toHaveLength(1);
  });

  test("messages behind a refused one keep their order among themselves [MSG-5]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    refusing = "one";
    const one = a.post(id, "one");
    await answerOf(a, one);
    refusing = null;
    const two = a.post(id, "two");
    expect(await answerOf(a, two)).toMatchObject({ code: "out_of_order", details: { first: one } });
    expect(await a.say(id, "one", { id: one })).toMatchObject({ type: "receipt" });
    // The second was refused as retryable too: what comes after it waits for it.
    const three = a.post(id, "three");
    expect(await answerOf(a, three)).toMatchObject({ code: "out_of_order", details: { first: two } });
    expect(await a.say(id, "two", { id: two })).toMatchObject({ type: "receipt" });
    expect(await a.say(id, "three", { id: three })).toMatchObject({ type: "receipt" });
    expect((await storedLog(server.db, id)).slice(1).map((row) => row.id)).toEqual([one, two, three]);
  });

  test("a refused message that is refused again still comes first [MSG-5]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    refusing = "one";
    const one = a.post(id, "one");
    const two = a.post(id, "two");
    expect(await answerOf(a, two)).toMatchObject({ code: "out_of_order" });
    a.post(id, "one", { id: one });
    expect(await answerOf(a, one)).toMatchObject({ code: "overloaded" });
    await a.settled();
    expect(await a.say(id, "two", { id: two })).toMatchObject({ code: "out_of_order", details: { first: one } });
    refusing = null;
    expect(await a.say(id, "one", { id: one })).toMatchObject({ type: "receipt", seq: 2 });
    expect(await a.say(id, "two", { id: two })).toMatchObject({ type: "receipt", seq: 3 });
  });

  test("a refusal for good does not hold up what comes after it [MSG-5]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    expect(await a.say(id, "old", { id: newMessageId(Date.now() - 25 * HOUR_MS) })).toMatchObject({ code: "id_out_of_window" });
    expect(await a.say(id, "new")).toMatchObject({ type: "receipt", seq: 2 });
  });

  test("a 65th message without receipt is refused, and the socket lives [MSG-6]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const head = await holdHead(id);
    const ids = Array.from({ length: LIMITS.sendsInFlight + 1 }, (_, i) => a.post(id, `m${i}`));
    const last = ids.at(-1) ?? "";
    expect(await answerOf(a, last)).toMatchObject({ code: "too_many_in_flight", retryable: true });
    await head.release();
    await a.until((frames) => frames.filter((frame) => frame.type === "receipt").length === LIMITS.sendsInFlight);
    expect(await a.say(id, `m${LIMITS.sendsInFlight}`, { id: last })).toMatchObject({ type: "receipt", seq: LIMITS.sendsInFlight + 2 });
    expect((await storedLog(server.db, id)).slice(1).map((row) => row.id as string)).toEqual(ids);
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
    const strange = (error: { request_id?: string; id?: string; ref?: string }) => ({ ...error, request_id: "", id: "", ref: "" });
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
      expect({ what, code: nowhere.code, retryable: nowhere.retryable }).toEqual({ what, code: "conversation_not_found", retryable: false });
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
      expect({ content, code: refused.code, retryable: refused.retryable }).toEqual({ content, code: "encryption_mismatch", retryable: false });
    }
    expect(await countEvents(server.db)).toBe(before);
    expect((await a.say(sealed, "", { encrypted_content: undefined, content: "plain" })).type).toBe("receipt");
    expect((await b.next("message")).content).toBe("plain");
    const [row] = await server.db.query<{ body: Uint8Array }>("select body from events where conversation = $1 and kind = 1", [sealed]);
    expect(Buffer.from(row?.body ?? []).toString("latin1")).not.toContain("plain");
  });

  test("expires_in ends an entry, which stays as a tombstone with its seq and id [MSG-10]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    const kept = await a.say(id, "kept");
    const brief = await a.say(id, "brief", { expires_in: 1 });
    expect(Date.parse(brief.expires_at) - Date.parse(brief.created_at)).toBe(1_000);
    expect(kept.expires_at).toBeUndefined();
    expect((await b.match((frame) => frame.seq === brief.seq)).expires_at).toBe(brief.expires_at);
    await waitUntil("the entry has ended", () => Date.now() > Date.parse(brief.expires_at));
    b.send({ type: "resume", cursors: { [id]: 1 } });
    const tombstone = await b.next("tombstone");
    expect(tombstone).toMatchObject({ seq: brief.seq, id: brief.id, sender_id: ann.id, reason: "expired" });
    expect(JSON.stringify(tombstone)).not.toContain("brief");
    // A retry is known from another body even now.
    expect(await a.say(id, "brief", { id: brief.id, expires_in: 1 })).toMatchObject({ type: "receipt", seq: brief.seq });
    expect(await a.say(id, "other", { id: brief.id, expires_in: 1 })).toMatchObject({ code: "idempotency_conflict" });
  });

  test("expires_in never goes beyond the conversation's retention [MSG-10]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const id = await (ann as Person).group([ben as Person], { retention_seconds: 100 });
    using a = await ann.live();
    for (const [expiresIn, lifetime] of [[undefined, 100], [50, 50], [1_000, 100]] as const) {
      const receipt = await a.say(id, "text", { expires_in: expiresIn });
      expect(Date.parse(receipt.expires_at) - Date.parse(receipt.created_at)).toBe(lifetime * 1_000);
    }
  });
});

/** The seqs that a peer was given, by entries and by receipts that stand for them. */
function placedBy(peer: Peer, id: ConversationId): number[] {
  return peer.frames
    .filter((frame) => frame.conversation_id === id && (["message", "membership"].includes(frame.type) || frame.in_order === true))
    .map((frame) => frame.seq);
}
