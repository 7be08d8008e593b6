/** A stored body that cannot be read is named by its id, and quoted nowhere. */
import { expect, test } from "bun:test";
import { startApp } from "../support/app.ts";

test("a body that is no JSON is not quoted in an answer or in the log", async () => {
  await using server = await startApp();
  const [ann, ben] = [await server.person(), await server.person()];
  const dm = await ann.dm(ben);
  await ann.request("POST", `/api/conversations/${dm}/messages`, { encrypted_content: "eA==" });
  const canary = "moonquake in the orchard";
  await server.db.query("update events set body = $2 where conversation = $1 and seq = 2", [dm, Buffer.from(canary)]);
  const answer = await ben.request("GET", `/api/conversations/${dm}/messages`);
  expect([answer.status, answer.json.error.code]).toEqual([500, "internal"]);
  expect(JSON.stringify(answer.json)).not.toContain("moonquake");
  expect(server.logged()).toContain(`event 2 of conversation ${dm}`);
  expect(server.logged()).not.toContain("moonquake");
});
