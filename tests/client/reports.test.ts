/** From the first unwanted message to its end: two people with encrypting clients, two nodes, one administrator. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { setRole } from "../../src/accounts/mod.ts";
import { type ClientEvent, SottoClient } from "../../src/client/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import { arrive, keysFor, PASSWORD, read, readUntil, type TestPerson, watch } from "./people.ts";

let nodes: readonly [TestApp, TestApp];
let boss: Person;
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ bus });
  nodes = [one, await one.another({ bus })];
  boss = await one.person();
  await setRole(one.db, boss.id, "admin");
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

/** An answer without what differs between any two of a kind. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
};
const asked = async (who: TestPerson, method: string, path: string, body?: object) => {
  const { status, json } = await request(nodes[1].url, method, path, body, who.client.session.accessToken);
  return { status, json };
};
const messageIds = (events: readonly ClientEvent[]): string[] =>
  events.flatMap((event) => (event.type === "message" ? [event.id] : []));

test("one chosen message is reported and read; its sender is blocked, cannot tell, and is disabled in the end", async () => {
  await using cleanUp = new AsyncDisposableStack();
  const ana = await arrive(nodes[0].url, { index: 0 });
  const mallory = await arrive(nodes[1].url, { index: 1 });
  for (const { client } of [ana, mallory]) cleanUp.use(client);
  const keys = await keysFor(0);
  const far = await watch(ana.name, {}, (options) =>
    SottoClient.signIn(nodes[1].url, { username: ana.name, password: PASSWORD, ...options, keys }),
  );
  cleanUp.use(far.client);
  const { id: dm } = await mallory.client.api.createConversation({
    conversation_type: "dm",
    participant_ids: [ana.id],
  });
  const texts = ["a harmless opening", "I know where you live", "and something private about somebody else"];
  for (const text of texts) await mallory.client.send(dm, text);
  const messages = await read(ana.client, 3);
  expect(messages.map(({ text }) => text)).toEqual(texts);
  await read(far.client, 3);

  // Mallory's view before, to be compared with the one after: how a message is answered, by socket, HTTP and relay.
  const malloryActs = async () => {
    const receipt = await mallory.client.send(dm, "and again");
    await mallory.client.edit(dm, receipt.id, "and again, changed");
    const said = await asked(mallory, "POST", `/api/conversations/${dm}/messages`, { encrypted_content: "QUJD" });
    const relayed = await asked(mallory, "POST", "/messages", { recipient_id: ana.id, encrypted_data: "QUJD" });
    const page = await asked(mallory, "GET", `/api/conversations/${dm}/messages?limit=3`);
    const user = await asked(mallory, "GET", `/api/users/${ana.id}`);
    const ids: string[] = [receipt.id, said.json.id, relayed.json.id];
    return { seen: [receipt, said, relayed, page, user].map(shapeOf), ids, seq: said.json.seq };
  };
  const before = await malloryActs();
  await readUntil(ana.client, (event) => "seq" in event && event.seq === before.seq);
  await readUntil(far.client, (event) => "seq" in event && event.seq === before.seq);

  // Ana reports, and shows one of the three.
  using office = await boss.live();
  const [, chosen] = messages;
  if (chosen === undefined) throw new Error("Choose a message");
  const report = { user: mallory.id, conversation: dm, reason: "abuse", note: "Please look at this" } as const;
  await ana.client.report({ ...report, messages: [chosen] });
  const { report_id: id } = await office.next("report_filed");
  const shown = (await boss.request("GET", `/api/admin/reports/${id}`)).json;
  expect(shown).toMatchObject({
    ...{ reporter: { id: ana.id }, reported: { id: mallory.id }, reason: "abuse", note: "Please look at this" },
    messages: [{ message_id: chosen.id, vouched: { seq: chosen.seq, text: null }, claimed: { text: texts[1] } }],
  });
  expect(shown.messages).toHaveLength(1);
  for (const secret of [texts[0], texts[2], messages[0]?.id, messages[2]?.id])
    expect(JSON.stringify(shown)).not.toContain(secret);
  expect((await boss.request("GET", `/api/conversations/${dm}/messages`)).status).toBe(404);

  // Ana blocks: nothing that Mallory says arrives, anywhere; Mallory is answered as before.
  await ana.client.api.block(mallory.id);
  expect((await ana.client.api.blocked()).users.map((user) => user.id)).toEqual([mallory.id]);
  const after = await malloryActs();
  expect(after.seen).toEqual(before.seen);
  await ana.client.send(dm, "the end");
  for (const { client } of [ana, far]) {
    const came = await readUntil(client, (event) => event.type === "message" && event.text === "the end");
    expect(messageIds(came).filter((one) => after.ids.includes(one))).toEqual([]);
  }
  const page = await ana.client.history(dm, { after_seq: before.seq });
  expect(page.messages.map((entry) => ("text" in entry ? entry.text : entry.type))).toEqual([
    ...["tombstone", "tombstone", "tombstone", "the end"],
  ]);
  const inbox: { id: string }[] = (await asked(ana, "GET", "/messages")).json.messages;
  expect(inbox.filter((one) => after.ids.includes(one.id))).toEqual([]);

  // The administrator disables Mallory: sockets close, sessions end, nobody signs in.
  const closed = await boss.request("POST", `/api/admin/reports/${id}/close`, { outcome: "disabled" });
  expect([closed.status, closed.json.reported.disabled]).toEqual([200, true]);
  expect(await mallory.reaches("stopped")).toMatchObject({ reason: { code: "account_disabled" } });
  const signIn = { username: mallory.name, password: PASSWORD };
  for (const { url } of nodes) {
    const refused = await request(url, "POST", "/api/auth/signin", signIn);
    expect([refused.status, refused.json.error.code]).toEqual([403, "account_disabled"]);
  }
  expect(ana.client.status.state).toBe("live");
}, 60_000);

test("a report goes out again until it is answered, is stored once, and is cut where it is too long", async () => {
  const ben = await nodes[0].person();
  let lost = 0;
  const flaky = async (url: string, init: RequestInit) => {
    const answer = await fetch(url, init);
    if (!url.endsWith("/api/reports") || lost++ > 0) return answer;
    throw new TypeError("The connection was lost before the answer came");
  };
  const ana = await arrive(nodes[0].url, { index: 0, fetch: flaky });
  await using _ = ana.client;
  const answer = await request(
    nodes[0].url,
    "POST",
    "/api/conversations",
    { conversation_type: "dm", participant_ids: [ana.id], encryption: "server" },
    ben.token,
  );
  const dm = answer.json.id;
  const said = await ben.request("POST", `/api/conversations/${dm}/messages`, { content: "x".repeat(5_000) });
  await ana.client.report({ user: ben.id, reason: "spam", messages: [{ id: said.json.id, text: "x".repeat(5_000) }] });
  expect(lost).toBe(2);
  const rows = await nodes[0].db.query<{ id: string }>("select id from reports where reported = $1", [ben.id]);
  expect(rows).toHaveLength(1);
  const { messages } = (await boss.request("GET", `/api/admin/reports/${rows[0]?.id}`)).json;
  expect(messages[0].claimed.text).toBe(`${"x".repeat(1_999)}…`);
  await expect(ana.client.report({ user: ana.id, reason: "other" })).rejects.toMatchObject({ code: "bad_request" });
});
