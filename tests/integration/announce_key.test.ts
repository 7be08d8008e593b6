/** Peers hear of a new key in the log, wherever they are. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { startApp, type TestApp } from "../support/app.ts";

let server: TestApp;
beforeAll(async () => {
  server = await startApp();
});
afterAll(() => server[Symbol.asyncDispose]());

const newPem = () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();

test("announceKey() tells members who are here and members who are away, once each [LOG-1]", async () => {
  const [ann, ben, cleo] = [await server.person(), await server.person(), await server.person()];
  const [dm, group] = [await ann.dm(ben), await ann.group([ben, cleo])];
  using b = await ben.live();
  const key = newPem();
  const answer = await ann.request("PUT", "/update-key", { public_key: key });
  expect(answer.status).toBe(200);
  const { fingerprint } = answer.json;

  for (const conversation of [dm, group]) {
    await b.until(() => b.entries(conversation).some((entry) => entry.type === "notice"));
    expect(b.entries(conversation).at(-1)).toMatchObject({
      type: "notice",
      notice: "key_changed",
      seq: 2,
      user_id: ann.id,
      sender_id: ann.id,
      fingerprint,
    });
  }
  using c = await cleo.live();
  expect(c.entries(group).map((entry) => entry.type)).toEqual(["membership", "notice"]);

  // The same key again changes nothing, and tells nobody twice.
  expect((await ann.request("PUT", "/update-key", { public_key: key })).json.changed).toBe(false);
  await b.settled();
  expect(b.entries(dm).filter((entry) => entry.type === "notice")).toHaveLength(1);
  const rows = await server.db.query("select 1 from events where conversation = $1 and kind = 3", [group]);
  expect(rows).toHaveLength(1);
});

test("announceKey() adds what an attempt that died left out [LOG-1]", async () => {
  const [ann, ben] = [await server.person(), await server.person()];
  const key = newPem();
  await ann.request("PUT", "/update-key", { public_key: key });
  // Made after the change: as a conversation that the first attempt did not reach.
  const dm = await ann.dm(ben);
  await ann.request("PUT", "/update-key", { public_key: key });
  using b = await ben.live();
  expect(b.entries(dm).map((entry) => entry.type)).toEqual(["membership", "notice"]);
});
