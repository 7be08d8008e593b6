/**
 * A page over HTTP was bounded in entries only: a hundred messages of the largest size are nine
 * megabytes, and one account that asked a hundred times at once cost the server 750.
 */
import { expect, test } from "bun:test";
import { LIMITS } from "../../src/protocol/mod.ts";
import { startApp } from "../support/app.ts";

const COUNT = 12;

test("GET /api/conversations/{id}/messages bounds the bytes of a page, both ways and without a gap", async () => {
  await using server = await startApp();
  const [ada, ben] = [await server.person(), await server.person()];
  const dm = await ada.dm(ben);
  const peer = await ada.live();
  for (let i = 0; i < COUNT; i++) await peer.say(dm, "x".repeat(LIMITS.contentChars));
  const all = Array.from({ length: COUNT + 1 }, (_, i) => i + 1);

  const forward: number[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const { json } = await ben.request("GET", `/api/conversations/${dm}/messages?limit=100&after_seq=${after}`);
    expect(JSON.stringify(json).length).toBeLessThan(LIMITS.pageBytes + 2 * LIMITS.contentChars);
    forward.push(...json.messages.map((message: { seq: number }) => message.seq));
    after = json.next;
  }
  expect(forward).toEqual(all);

  const backward: number[] = [];
  for (let query = "limit=100"; query !== ""; ) {
    const { json } = await ben.request("GET", `/api/conversations/${dm}/messages?${query}`);
    backward.unshift(...json.messages.map((message: { seq: number }) => message.seq));
    query = json.previous === null ? "" : `limit=100&before_seq=${json.previous}`;
  }
  expect(backward).toEqual(all);
});

test("GET /messages bounds the bytes of a page and goes on behind it", async () => {
  await using server = await startApp();
  const [ada, ben] = [await server.person(), await server.person()];
  const body = { recipient_id: ben.id, encrypted_data: Buffer.alloc(64 * 1024).toString("base64") };
  const sent: string[] = [];
  for (let i = 0; i < COUNT; i++) sent.push((await ada.request("POST", "/messages", body)).json.id);
  const listed: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { json } = await ben.request("GET", `/messages?limit=100${cursor === "" ? "" : `&cursor=${cursor}`}`);
    expect(json.messages.length).toBeLessThan(COUNT);
    listed.push(...json.messages.map((message: { id: string }) => message.id));
    cursor = json.next;
  }
  expect(listed).toEqual(sent);
});
