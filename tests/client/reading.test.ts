/** What an app with a screen asks of the SDK: pages as people read them, names, keys, and ids of its own. */
import { expect, test } from "bun:test";
import { fingerprintOf, SottoClient } from "../../src/client/mod.ts";
import { newMessageId } from "../../src/protocol/mod.ts";
import { startApp } from "../support/app.ts";
import { arrive, keysFor, PASSWORD, read } from "./people.ts";

test("history() gives pages decrypted and verified, and send() takes an id that the app has made", async () => {
  await using app = await startApp();
  const alice = await arrive(app.url, { index: 0 });
  const bob = await arrive(app.url, { index: 1 });
  const { id } = await alice.client.api.createConversation({ conversation_type: "dm", participant_ids: [bob.id] });
  const ids = [newMessageId(), newMessageId(), newMessageId()] as const;
  const sent = ids.map((own, index) => alice.client.send(id, `Letter ${index}`, { id: own }));
  expect((await Promise.all(sent)).map((receipt) => receipt.id)).toEqual([...ids]);
  await read(bob.client, 3);
  const page = await bob.client.history(id, { limit: 2 });
  expect(page.messages.map((entry) => ("text" in entry ? [entry.id, entry.text, entry.fault] : entry.type))).toEqual([
    [ids[1], "Letter 1", null],
    [ids[2], "Letter 2", null],
  ]);
  const before = await bob.client.history(id, { before_seq: page.previous ?? 0 });
  expect(before.messages.map(({ type }) => type)).toEqual(["membership", "message"]);
  expect(before.previous).toBeNull();
  await Promise.all([alice.client.close(), bob.client.close()]);
});

test("the API finds people by name, and publishes a key", async () => {
  await using app = await startApp();
  const alice = await arrive(app.url, { index: 0 });
  const keyless = await app.person();
  const { users } = await alice.client.api.findUsers(keyless.name);
  expect(users.map(({ id, username }) => [id, username])).toEqual([[keyless.id, keyless.name]]);
  expect(await alice.client.api.user(alice.id)).toMatchObject({ username: alice.name });
  const keys = await keysFor(1);
  await alice.client.api.setPublicKey(keys.publicKey);
  expect((await alice.client.api.publicKey(alice.id)).fingerprint).toBe(await fingerprintOf(keys.publicKey));
  await using again = await SottoClient.signIn(app.url, { username: alice.name, password: PASSWORD, keys });
  await expect(again.api.user(newMessageId() as never)).rejects.toMatchObject({ code: "user_not_found" });
  await alice.client.close();
});
