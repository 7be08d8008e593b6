/** Handing keys to devices at another node, through a real Redis and without it; and through kill -9. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newMessageId } from "../../src/protocol/mod.ts";
import { given, hand, outcomeOf, payloadOf, texts, textsOnce } from "../spec/inbox_support.ts";
import { STARTING_MS } from "../spec/support.ts";
import { Person, type TestApp } from "../support/app.ts";
import { startTwo, type TwoNodes } from "../support/nodes.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { describeWithRedis, type TestRedis } from "../support/redis.ts";
import { ServerProcess } from "../support/server_process.ts";
import { BUSY_MS } from "../support/wait.ts";

const STORED = "key_exchange_stored";
const LIMIT_MS = 120_000;

describeWithRedis("two nodes and Redis", () => {
  let nodes: TwoNodes;
  let redis: TestRedis;
  let here: TestApp;
  let there: TestApp;
  beforeAll(async () => {
    nodes = await startTwo();
    ({ redis, here, there } = nodes);
  }, STARTING_MS);
  afterAll(async () => {
    await nodes[Symbol.asyncDispose]();
  }, STARTING_MS);

  test("what is handed over at one node arrives at the other in a moment, with Redis and without it [KEX-3]", async () => {
    const [ann, ben] = [await here.person(), await there.person()];
    using one = await ann.live();
    using reader = await ben.live();
    const arrives = async (text: string) => {
      const sentAt = performance.now();
      expect(outcomeOf(await hand(one, ben, { payload: payloadOf(text) }))).toBe(STORED);
      await reader.until(() => texts(reader).includes(text));
      expect(performance.now() - sentAt).toBeLessThan(BUSY_MS); // nodes that trust their bus look once a minute
    };
    await arrives("with Redis");
    redis.kill();
    await arrives("without Redis");
    await redis.startAgain();
    await arrives("with Redis again");
    expect(given(reader).map(({ seq }) => seq)).toEqual([1, 2, 3]);
  }, 60_000);

  test("twins at two nodes at once are stored once [KEX-2]", async () => {
    const [ann, ben] = [await here.person(), await there.person()];
    using one = await ann.live();
    using other = await ann.at(there.url).live();
    using reader = await ben.live();
    const ids = Array.from({ length: 15 }, () => newMessageId());
    const answers = await Promise.all(ids.flatMap((id) => [one, other].map((peer) => hand(peer, ben, { id }))));
    expect(answers.map(outcomeOf)).toEqual(answers.map(() => STORED));
    await textsOnce(reader, 15);
    await reader.settled();
    expect(new Set(given(reader).map(({ id }) => id))).toEqual(new Set(ids));
    expect(given(reader)).toHaveLength(15);
  });
});

describe("kill -9", () => {
  test(
    "loses nothing that was answered, and stores nothing twice that is repeated [KEX-1, KEX-2]",
    async () => {
      await using database = await createTestDatabase();
      await using server = await ServerProcess.start({ DATABASE_URL: database.url });
      const [ann, ben] = [await Person.signUp(server.url, "ann"), await Person.signUp(server.url, "ben")];
      const ids = Array.from({ length: 25 }, () => newMessageId());
      const answered = new Set<string>();
      {
        using one = await ann.live();
        using reader = await ben.live();
        for (const id of ids) {
          one.send({ type: "key_exchange", id, to_user_id: ben.id, payload: payloadOf("key") });
        }
        await one.until((frames) => frames.filter(({ type }) => type === STORED).length >= 5);
        await server.signal("SIGKILL");
        for (const { type, id } of one.frames) if (type === STORED) answered.add(id);
        await Promise.all([one.ended(), reader.ended()]);
      }
      await server.startAgain();
      using reader = await ben.at(server.url).live();
      await textsOnce(reader, answered.size);
      for (const id of answered) expect(given(reader).map((frame) => frame.id)).toContain(id);
      using again = await ann.at(server.url).live();
      for (const id of ids) expect(outcomeOf(await hand(again, ben, { id }))).toBe(STORED);
      await textsOnce(reader, ids.length);
      await reader.settled();
      expect(given(reader)).toHaveLength(ids.length);
      expect(new Set(given(reader).map((frame) => frame.id))).toEqual(new Set(ids));
    },
    LIMIT_MS,
  );
});
