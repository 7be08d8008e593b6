/** Cursors on their way to the database, by a clock that the test moves; and what reading pages costs it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { CursorWriter } from "../../src/conversations/cursors.ts";
import type { ConversationId, DeviceId } from "../../src/protocol/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { statementsWhile } from "../support/statements.ts";
import { waitUntil } from "../support/wait.ts";

let server: TestApp;
let now = 0;
let writer: CursorWriter;
beforeAll(async () => {
  server = await startApp({ cursorFlushMs: 3_600_000 });
});
afterAll(() => server[Symbol.asyncDispose]());
const open = () => {
  now = 1_000_000;
  const onFault = (what: string, error: unknown) => {
    throw new Error(what, { cause: error });
  };
  writer = new CursorWriter(server.db, { flushMs: 3_600_000, now: () => now, onFault });
};
afterEach(() => writer[Symbol.asyncDispose]());

/** Somebody with dms of five entries each. */
async function withDms(count: number): Promise<{ ann: Person; ids: ConversationId[] }> {
  const ann = await server.person();
  const ids: ConversationId[] = [];
  for (let i = 0; i < count; i++) {
    const id = await ann.dm(await server.person());
    for (let n = 0; n < 4; n++) {
      await ann.request("POST", `/api/conversations/${id}/messages`, { encrypted_content: "x" });
    }
    ids.push(id);
  }
  return { ann, ids };
}

const acknowledge = ({ id, deviceId }: Person, conversationId: ConversationId, seq: number) =>
  writer.acknowledge({ deviceId, accountId: id, conversationId, seq, at: null });
async function stored(device: DeviceId, id: ConversationId): Promise<number> {
  const [row] = await server.db.query<{ seq: number }>(
    "select acked_seq as seq from device_cursors where device = $1 and conversation = $2",
    [device, id],
  );
  return row?.seq ?? 0;
}

/** How many statements write cursors of devices while something is done. */
async function countingWrites(work: () => Promise<void>): Promise<number> {
  const statements = await statementsWhile(work);
  return statements.filter(({ text }) => text.includes("insert into device_cursors")).length;
}

describe("CursorWriter", () => {
  test("writes for the pages of a conversation its cursors alone, and once a second", async () => {
    open();
    const { ann, ids } = await withDms(2);
    const [one, other] = ids as [ConversationId, ConversationId];
    acknowledge(ann, one, 2);
    acknowledge(ann, other, 2);
    await writer.settlePage(one);
    expect([await stored(ann.deviceId, one), await stored(ann.deviceId, other)]).toEqual([2, 0]);
    const writes = await countingWrites(async () => {
      for (let i = 0; i < 200; i++) {
        acknowledge(ann, one, 3);
        await writer.settlePage(one);
      }
    });
    expect([writes, await stored(ann.deviceId, one)]).toEqual([0, 2]);
    now += 1_000;
    await writer.settlePage(one);
    expect(await stored(ann.deviceId, one)).toBe(3);
    await writer.flush();
    expect(await stored(ann.deviceId, other)).toBe(2);
  });

  test("gathers what pages of many conversations ask for at once into two writes", async () => {
    open();
    const { ann, ids } = await withDms(20);
    for (const id of ids) acknowledge(ann, id, 4);
    const writes = await countingWrites(async () => {
      await Promise.all(ids.slice(0, 10).map((id) => writer.settlePage(id)));
      await Promise.all(ids.slice(10).flatMap((id) => [writer.settlePage(id), writer.settlePage(id)]));
    });
    expect(writes).toBeLessThanOrEqual(2);
    expect(await Promise.all(ids.map((id) => stored(ann.deviceId, id)))).toEqual(ids.map(() => 4));
  });

  test("writes an account's own read marks before its list is read", async () => {
    open();
    const { ann, ids } = await withDms(2);
    const [one, other] = ids as [ConversationId, ConversationId];
    writer.read({ accountId: ann.id, conversationId: one, seq: 3 });
    acknowledge(ann, one, 1);
    acknowledge(ann, other, 1);
    await writer.settle(ann.id);
    const [row] = await server.db.query("select read_seq from members where conversation = $1 and account = $2", [
      one,
      ann.id,
    ]);
    expect(row).toEqual({ read_seq: 3 });
    expect(await stored(ann.deviceId, other)).toBe(0);
  });
});

test("pages say what was acknowledged at their node though nothing else has it written", async () => {
  open();
  const [ann, ben] = [await server.person(), await server.person()];
  const id = await ann.dm(ben);
  using b = await ben.live();
  const path = `/api/conversations/${id}/messages`;
  const statuses = async () =>
    (await ann.request("GET", path)).json.messages.flatMap((entry: { status?: string }) => entry.status ?? []);
  for (const expected of [["delivered"], ["delivered", "delivered"]]) {
    const { seq } = (await ann.request("POST", path, { encrypted_content: "x" })).json;
    await b.until(() => b.entries(id).some((entry) => entry.seq === seq));
    b.acknowledge(id, seq);
    await waitUntil("the page says so", async () => Bun.deepEquals(await statuses(), expected));
  }
});
