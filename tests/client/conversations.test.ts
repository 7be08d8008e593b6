/** What the SDK does with conversations beside talking in them, against a real server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Signal, SottoClient, SottoError } from "../../src/client/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { arrive, keysFor, PASSWORD, readUntil, type TestPerson, watch } from "./people.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app[Symbol.asyncDispose]());

/** Two people and their group. */
async function pair() {
  const [ann, ben] = await Promise.all([arrive(app.url, { index: 0 }), arrive(app.url, { index: 1 })]);
  const { id } = await ann.client.api.createConversation({
    ...{ conversation_type: "group", name: "Ours", encryption: "server", participant_ids: [ben.id] },
  });
  const end = () => Promise.all([ann.client.close(), ben.client.close()]);
  return { ann, ben, id, [Symbol.asyncDispose]: async () => void (await end()) };
}

test("a new name, another role and another retention are events for everybody; who leaves is told the end [SET-1]", async () => {
  await using both = await pair();
  const { ann, ben, id } = both;
  const { api } = ann.client;
  expect((await api.rename(id, "The ferry")).name).toBe("The ferry");
  expect(await api.setRole(id, ben.id, "admin")).toMatchObject({ user_id: ben.id, role: "admin" });
  await api.setRetention(id, 86_400);
  await ben.client.api.leave(id);
  const events = await readUntil(ben.client, ({ type }) => type === "conversation_left");
  expect(events.map(({ type }) => type)).toEqual(["membership", "change", "change", "change", "conversation_left"]);
  expect(events.slice(1, 4)).toMatchObject([
    { name: "The ferry" },
    { user_id: ben.id, role: "admin" },
    { settings: { retention_seconds: 86_400 } },
  ]);
  const { participants, next } = await api.participants(id);
  expect([participants.map(({ user_id, role }) => [user_id, role]), next]).toEqual([[[ann.id, "owner"]], null]);
  await api.deleteConversation(id);
  expect((await readUntil(ann.client, ({ type }) => type === "conversation_left")).at(-1)).toMatchObject({
    conversation_id: id,
  });
});

test("a change whose answer was lost is asked again and made once", async () => {
  await using both = await pair();
  const { ann, id } = both;
  let lost = 0;
  const shaky = await SottoClient.resume(app.url, ann.client.session, {
    fetch: async (url, init) => {
      const answer = await fetch(url, init);
      if (init.method === "PUT" && lost++ === 0) throw new TypeError("The line was cut");
      return answer;
    },
  });
  expect((await shaky.api.rename(id, "Once")).name).toBe("Once");
  await shaky.close();
  expect(lost).toBe(2);
  const { messages } = await ann.client.api.history(id);
  expect(messages.filter(({ type }) => type === "change")).toHaveLength(1);
  const refused = await ann.client.api.setRole(id, ann.id, "member").catch((error) => error);
  expect(refused).toBeInstanceOf(SottoError);
  expect(refused.code).toBe("forbidden");
});

test("the list says what is unread and one's own, to other devices at once, and later only what changed [SET-2, READ-2]", async () => {
  await using both = await pair();
  const { ann, ben, id } = both;
  const signals: Signal[] = [];
  const tablet: TestPerson = await watch(
    ben.name,
    { keys: await keysFor(1), onSignal: (signal) => void signals.push(signal) },
    (options) => SottoClient.signIn(app.url, { username: ben.name, password: PASSWORD, ...options }),
  );
  await Promise.all([ben.reaches("live"), tablet.reaches("live")]);
  const { seq } = await ann.client.send(id, "hello");
  await ann.client.send(id, "are you there?");
  const { api } = ben.client;
  const first = await api.listConversations();
  expect(first.conversations).toMatchObject([
    { id, name: "Ours", role: "member", participant_count: 2, unread_count: 2, pinned: false, muted_until: null },
  ]);
  ben.client.markRead(id, seq);
  await api.pin(id);
  await api.archive(id);
  const until = Date.UTC(2030, 0, 1);
  await api.mute(id, until);
  const own = { archived: true, pinned: true, muted_until: new Date(until).toISOString() };
  while (signals.length < 4) await new Promise((resolve) => setImmediate(resolve));
  expect(signals.filter(({ type }) => type === "message_read")).toMatchObject([{ user_id: ben.id, seq }]);
  expect(signals.filter(({ type }) => type === "settings").at(-1)).toMatchObject({ conversation_id: id, ...own });
  await tablet.client.close();
  const since = await api.listConversations({ since: first.sync });
  expect(since).toMatchObject({
    conversations: [{ id, unread_count: 1, read_seq: seq, ...own }],
    left: [],
    next: null,
  });
  await api.leave(id);
  expect(await api.listConversations({ since: since.sync })).toMatchObject({ conversations: [], left: [id] });
});
