/** A block that is set at one node, with the blocked at another and Redis between them; and what a blocked sender costs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { STARTING_MS } from "../spec/support.ts";
import type { Person, TestApp } from "../support/app.ts";
import { everyBusIs, startTwo, type TwoNodes } from "../support/nodes.ts";
import type { Frame, Peer } from "../support/peer.ts";
import { describeWithRedis, type TestRedis } from "../support/redis.ts";
import { statementsWhile } from "../support/statements.ts";

const block = (who: Person, whom: Person) => who.request("POST", `/api/users/${whom.id}/block`);
const unblock = (who: Person, whom: Person) => who.request("DELETE", `/api/users/${whom.id}/block`);
const textsOf = (frames: readonly Frame[]) => frames.map((entry) => entry.encrypted_content ?? entry.type);

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

  /** Ben blocks at one node, Ann sends at the other, and Ben has a socket at both. */
  async function talk(ann: Person, ben: Person, id: ConversationId): Promise<void> {
    using writer = await ann.at(there.url).live();
    using near = await ben.live();
    using far = await (await ben.signIn({ url: there.url })).live();
    const readers: readonly Peer[] = [near, far];
    const come = (text: string) =>
      Promise.all(readers.map((one) => one.until(() => textsOf(one.entries(id)).includes(text))));
    await writer.say(id, "one");
    await come("one");
    expect((await block(ben, ann)).status).toBe(204);
    for (const text of ["two", "three"]) expect((await writer.say(id, text)).type).toBe("receipt");
    expect((await near.say(id, "mine")).type).toBe("receipt");
    await writer.until(() => textsOf(writer.entries(id)).includes("mine"));
    expect((await unblock(ben.at(there.url), ann)).status).toBe(204);
    expect((await writer.say(id, "four")).type).toBe("receipt");
    await come("four");
    for (const reader of readers) {
      const texts = textsOf(reader.entries(id));
      expect(texts.slice(texts.indexOf("one"))).toEqual(["one", "tombstone", "tombstone", "mine", "four"]);
      expect(JSON.stringify(reader.frames)).not.toMatch(/"(two|three)"/);
    }
    const own = (await ann.request("GET", `/api/conversations/${id}/messages?after_seq=1`)).json.messages;
    expect(textsOf(own)).toEqual(["one", "two", "three", "mine", "four"]);
  }

  test("a block that is set at one node holds at the other at once, and so does its end [BLK-1]", async () => {
    const [ann, ben] = [await here.person(), await here.person()];
    const id = await ann.dm(ben);
    await talk(ann, ben, id);
    const [cem, dan] = [await here.person(), await here.person()];
    const other = await cem.dm(dan);
    redis.freeze(); // nothing that nodes tell each other arrives
    try {
      using writer = await cem.at(there.url).live();
      await writer.say(other, "known at the other node");
      expect((await block(dan, cem)).status).toBe(204);
      expect((await writer.say(other, "canary")).type).toBe("receipt");
      using reader = await (await dan.signIn({ url: there.url })).live();
      await reader.settled();
      const page = (await dan.at(there.url).request("GET", `/api/conversations/${other}/messages`)).json;
      expect(JSON.stringify([reader.frames, page])).not.toContain("canary");
    } finally {
      redis.thaw();
    }
    await everyBusIs([here, there], "up", STARTING_MS);
  });

  test("sending to who blocks one makes the statements that sending to who is away makes [BLK-2]", async () => {
    const [ann, ben, cem] = [await here.person(), await here.person(), await here.person()];
    const dms = [await ann.dm(ben), await ann.dm(cem)] as const;
    await block(ben, ann);
    using writer = await ann.live();
    for (const id of dms) await writer.say(id, "both heads are known now");
    const sending = (id: ConversationId) =>
      statementsAbout(id, async () => {
        for (let i = 0; i < 20; i++) expect((await writer.say(id, `text ${i}`)).type).toBe("receipt");
        await writer.settled();
      });
    const blocked = await sending(dms[0]);
    const away = await sending(dms[1]);
    expect(away.length).toBeGreaterThanOrEqual(20);
    expect(blocked).toEqual(away);
  });
});

/** The texts of the statements that name a conversation, of every node of this process, while something is done. */
async function statementsAbout(id: ConversationId, work: () => Promise<void>): Promise<string[]> {
  const named = (await statementsWhile(work)).filter(({ values }) => values.flat().some((value) => holds(value, id)));
  return named.map(({ text }) => text);
}

function holds(value: unknown, id: string): boolean {
  if (value instanceof Uint8Array) return Buffer.from(value).includes(Buffer.from(id.replaceAll("-", ""), "hex"));
  return String(value).includes(id);
}
