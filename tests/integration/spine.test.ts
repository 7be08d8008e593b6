/** The main job: a message from one person to another, on one node. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startApp, type TestApp } from "../support/app.ts";

let server: TestApp;
beforeAll(async () => {
  server = await startApp();
});
afterAll(() => server[Symbol.asyncDispose]());

describe("the spine", () => {
  test("delivers a message to who is connected, after its receipt was earned [MSG-1]", async () => {
    const [ann, ben] = [await server.person(), await server.person()];
    const dm = await ann.dm(ben);
    using a = await ann.live();
    using b = await ben.live();
    const receipt = await a.say(dm, "c2VjcmV0");
    expect(receipt).toMatchObject({ type: "receipt", seq: 2, in_order: true });
    const message = await b.next("message");
    expect(message).toMatchObject({ seq: 2, id: receipt.id, sender_id: ann.id, encrypted_content: "c2VjcmV0" });
  });

  test("lets a device catch up in order after it was away [RES-1]", async () => {
    const [ann, ben] = [await server.person(), await server.person()];
    const dm = await ann.dm(ben);
    using a = await ann.live();
    for (let i = 0; i < 250; i++) await a.say(dm, `m${i}`);
    using b = await ben.live();
    expect(b.entries(dm).map((frame) => frame.seq)).toEqual(Array.from({ length: 251 }, (_, i) => i + 1));
  });
});
