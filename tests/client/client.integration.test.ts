import { expect, test } from "bun:test";
import { startApp } from "../support/app.ts";
import { generatePemKeys, SottoClient } from "../../src/client/mod.ts";
test("smoke", async () => {
  await using app = await startApp();
  const [ka, kb] = await Promise.all([generatePemKeys(2048), generatePemKeys(2048)]);
  const opt = (n: string, keys: typeof ka) => ({ username: n, password: "correct horse battery staple", keys, onStatus: (s: unknown) => console.log(n, JSON.stringify(s)), onProblem: (e: unknown) => console.log(n, e) });
  await using alice = await SottoClient.signUp(app.url, opt("alice", ka));
  await using bob = await SottoClient.signUp(app.url, opt("bobby", kb));
  alice.connect(); bob.connect();
  const dm = await alice.api.createConversation({ conversation_type: "dm", participant_ids: [bob.session.userId] });
  const receipts = await Promise.all(Array.from({length: 100}, (_, i) => alice.send(dm.id, `hello ${i}`)));
  expect(receipts.map(r => r.seq)).toEqual(Array.from({length: 100}, (_, i) => i + 2));
  const got: unknown[] = [];
  for await (const event of bob.events()) { if (event.type === "message") got.push(event.text); if (got.length === 100) break; }
  expect(got).toEqual(Array.from({length: 100}, (_, i) => `hello ${i}`));
}, 20000);
