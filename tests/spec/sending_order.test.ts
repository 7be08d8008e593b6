/** SPEC.md, "Sending": the rules of order. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DomainError, LIMITS, newMessageId } from "../../src/protocol/mod.ts";
import { dispatch } from "../../src/realtime/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { Peer } from "../support/peer.ts";
import { holdHead, pair, placed, range, STARTING_MS, seqs, socketUrl, storedLog } from "./support.ts";

const HOUR_MS = 60 * 60 * 1_000;

/** While set, the log is said to be overloaded for messages of this content. */
let refusing: string | null = null;
/** While set, messages wait before the log knows of them, as while what it needs to know is being read. */
let late: (() => void)[] | null = null;
let server: TestApp;
beforeAll(async () => {
  server = await startApp({
    hub: {
      dispatch: (deps, actor, attachment, frame, place) => {
        const sendMessage: typeof deps.sendMessage = (input, done, refusal) => {
          const send = () => {
            if (input.content.encrypted_content !== refusing) deps.sendMessage(input, done, refusal);
            else done({ error: new DomainError("overloaded") });
          };
          if (late === null) send();
          else late.push(send);
        };
        dispatch({ ...deps, sendMessage }, actor, attachment, frame, place);
      },
    },
  });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

/** What a message was answered. */
function answerOf(
  peer: Peer,
  id: string,
): Promise<{ type: string; code?: string; seq: number; retryable?: boolean; details?: { first?: string } }> {
  return peer.match((frame) => (frame.type === "receipt" || frame.type === "error") && frame.id === id);
}

describe("the order of messages", () => {
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
      await peer.until(() => placed(peer.frames, id).length === 81);
      expect(placed(peer.frames, id)).toEqual(range(1, 81));
    }
  });

  test("a message before caught_up gets a receipt that does not hide what comes before it [MSG-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await a.say(id, "first");
    using b = await ben.connect();
    b.post(id, "early");
    await b.until(() => placed(b.frames, id).length === 3);
    expect(placed(b.frames, id)).toEqual([1, 2, 3]);
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

  test("a message that came before the refusal of an earlier one, and waited, does not pass it [MSG-5]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    refusing = "refused";
    late = [];
    const first = a.post(id, "refused");
    const second = a.post(id, "later");
    await a.settled();
    for (const send of late.splice(0)) send();
    late = null;
    refusing = null;
    expect(await answerOf(a, first)).toMatchObject({ code: "overloaded" });
    expect(await answerOf(a, second)).toMatchObject({ code: "out_of_order", details: { first } });
    expect(await a.say(id, "refused", { id: first })).toMatchObject({ type: "receipt", seq: 2 });
    expect(await a.say(id, "later", { id: second })).toMatchObject({ type: "receipt", seq: 3 });
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

  test("messages that are handled in one turn with a refused one do not pass it [MSG-5]", async () => {
    const { ann, id } = await pair(server);
    using a = await Peer.open(socketUrl(server));
    refusing = "refused";
    // They wait together until the token is verified, and are handled together.
    a.send({ type: "authenticate", token: ann.token });
    const first = a.post(id, "refused");
    const later = Array.from({ length: 30 }, (_, i) => a.post(id, `later${i}`));
    const codeOf = (one: string) => a.frames.find((frame) => frame.type !== "message" && frame.id === one)?.code;
    await a.until(() => [first, ...later].every((one) => codeOf(one) !== undefined));
    refusing = null;
    expect(codeOf(first)).toBe("overloaded");
    expect(new Set(later.map(codeOf))).toEqual(new Set(["out_of_order"]));
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
    expect(await a.say(id, "old", { id: newMessageId(Date.now() - 25 * HOUR_MS) })).toMatchObject({
      code: "id_out_of_window",
    });
    expect(await a.say(id, "new")).toMatchObject({ type: "receipt", seq: 2 });
  });

  test("a 65th message without receipt is refused, and the socket lives [MSG-6]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const head = await holdHead(server.db, id);
    const ids = Array.from({ length: LIMITS.sendsInFlight + 1 }, (_, i) => a.post(id, `m${i}`));
    const last = ids.at(-1) ?? "";
    expect(await answerOf(a, last)).toMatchObject({ code: "too_many_in_flight", retryable: true });
    await head.release();
    await a.until((frames) => frames.filter((frame) => frame.type === "receipt").length === LIMITS.sendsInFlight);
    expect(await a.say(id, `m${LIMITS.sendsInFlight}`, { id: last })).toMatchObject({
      type: "receipt",
      seq: LIMITS.sendsInFlight + 2,
    });
    expect((await storedLog(server.db, id)).slice(1).map((row) => row.id as string)).toEqual(ids);
  });
});
