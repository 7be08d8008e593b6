/** SPEC.md, "Heartbeat". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startApp, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { STARTING_MS, socketUrl } from "./support.ts";

const PING = 0x9;

let server: TestApp;
beforeAll(async () => {
  server = await startApp({ env: { WS_HEARTBEAT_INTERVAL: "1", WS_CONNECTION_TIMEOUT: "6" } });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

describe("heartbeat", () => {
  test("ping is answered by pong with the same ref, or none [HB-1]", async () => {
    using peer = await (await server.person()).live();
    for (const ref of [7, "text", 0, -1, "x".repeat(64)]) {
      peer.send({ type: "ping", ref });
      expect(await peer.next("pong")).toEqual({ type: "pong", ref });
    }
    peer.send({ type: "ping" });
    expect(await peer.next("pong")).toEqual({ type: "pong" });
  });

  test("the server pings; a socket from which nothing comes is cut, one that answers stays [HB-2]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    using answers = await ann.live();
    expect(answers.frames[0].heartbeat_ms).toBe(1_000);
    using silent = await RawSocket.open(socketUrl(server), ben.token);
    await silent.ended();
    expect(silent.controls.filter((opcode) => opcode === PING).length).toBeGreaterThanOrEqual(1);
    // Nobody is there to answer a close frame.
    expect(silent.closeCode).toBeNull();
    await answers.settled();
  });

  test("the time that silence may last is the heartbeat and 15 s [HB-2]", async () => {
    const clock = movableClock();
    const patient = await server.another({ clock, env: { WS_HEARTBEAT_INTERVAL: "30" } });
    await using _ = patient;
    const ann = await patient.person();
    using silent = await RawSocket.open(socketUrl(patient), ann.token);
    clock.advance(40_000);
    // A frame sent in time counts as a sign of life, as a pong does.
    silent.send({ type: "ping", ref: 1 });
    await silent.next((frame) => frame.type === "pong");
    clock.advance(46_000);
    await silent.ended();
    expect(silent.closeCode).toBeNull();
  });
});
