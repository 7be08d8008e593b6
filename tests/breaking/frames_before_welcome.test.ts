/** While a token was verified, frames waited by number only: 64 of the largest are 8 MiB for each socket. */
import { expect, test } from "bun:test";
import { jsonCodec, LIMITS } from "../../src/protocol/mod.ts";
import { Session } from "../../src/realtime/session.ts";
import type { SessionDeps, SocketPort } from "../../src/realtime/session_deps.ts";

test("Session bounds the bytes that wait while a token is verified", () => {
  const closes: number[] = [];
  const socket: SocketPort = {
    send: () => true,
    close: (code) => void closes.push(code),
    terminate: () => {},
    ping: () => {},
    buffered: () => 0,
  };
  const deps: SessionDeps = {
    codec: jsonCodec,
    heartbeatMs: 30_000,
    connectionTimeoutMs: 300_000,
    ordered: true,
    verify: () => new Promise(() => {}), // a database that does not answer
    attach: () => true,
    detach: () => {},
    frame: () => "accepted",
    drained: () => {},
    wrote: () => {},
    newRequestId: () => "request",
    onFailure: () => {},
    onClosed: () => {},
    onGone: () => {},
    now: () => 0,
    date: () => 0,
  };
  const session = new Session(socket, { address: "192.0.2.1", principal: null, expected: null }, deps);
  session.receive(JSON.stringify({ type: "authenticate", token: "a.b.c" }));
  const frame = " ".repeat(LIMITS.frameBytes);
  for (let taken = frame.length; taken <= LIMITS.mailboxBytes; taken += frame.length) session.receive(frame);
  expect(closes).toEqual([]);
  session.receive(frame);
  expect(closes).toEqual([4400]);
});
