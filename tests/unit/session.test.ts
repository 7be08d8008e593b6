/** What a session writes to its socket, on a socket of the test's own. */
import { expect, test } from "bun:test";
import type { Principal } from "../../src/accounts/mod.ts";
import {
  type AccountId,
  CLOSE_CODES,
  type DeviceId,
  jsonCodec,
  LIMITS,
  type SessionId,
  uuidv7,
} from "../../src/protocol/mod.ts";
import { Outgoing } from "../../src/realtime/outgoing.ts";
import { Session } from "../../src/realtime/session.ts";
import type { SocketPort } from "../../src/realtime/session_deps.ts";

const principal: Principal = {
  accountId: uuidv7() as AccountId,
  sessionId: uuidv7() as SessionId,
  deviceId: uuidv7() as DeviceId,
  expiresAt: Number.MAX_SAFE_INTEGER,
};

/** A socket that keeps what it is given, and a session on it. */
function openSession() {
  const socket = { writes: [] as (readonly string[])[], closes: [] as number[], buffered: 0, drops: false };
  const port: SocketPort = {
    send: (frames) => {
      socket.writes.push(frames);
      return !socket.drops;
    },
    close: (code) => void socket.closes.push(code),
    terminate: () => {},
    ping: () => {},
    buffered: () => socket.buffered,
  };
  const outgoing = new Outgoing();
  const drained: Session[] = [];
  const session = new Session(
    port,
    { address: "192.0.2.1", principal, expected: null },
    {
      codec: jsonCodec,
      heartbeatMs: 30_000,
      connectionTimeoutMs: 300_000,
      ordered: true,
      verify: () => Promise.resolve(principal),
      attach: () => true,
      detach: () => {},
      frame: () => "accepted",
      drained: (one) => void drained.push(one),
      wrote: (one) => outgoing.add(one),
      newRequestId: () => "request",
      onFailure: () => {},
      onClosed: () => {},
      onGone: () => {},
      now: () => 0,
      date: () => 0,
    },
  );
  session.begin();
  return { socket, session, outgoing, drained };
}

test("Session writes what one turn says in one go, in its order", () => {
  const { socket, session, outgoing } = openSession();
  for (const text of ["a", "b", "c"]) expect(session.send(text)).toBe(true);
  expect(socket.writes).toEqual([]);
  outgoing.flush();
  session.send("d");
  outgoing.flush();
  outgoing.flush();
  expect(socket.writes).toEqual([["a", "b", "c"], ["d"]]);
});

test("Session writes what is said outside any turn when the step is over", async () => {
  const { socket, session } = openSession();
  session.send("a");
  expect(socket.writes).toEqual([]);
  await Promise.resolve();
  expect(socket.writes).toEqual([["a"]]);
});

test("Session lets only so much wait for the end of a turn [LIM-6]", () => {
  const { socket, session } = openSession();
  const text = "x".repeat(1_000);
  for (let i = 0; i < 40; i++) session.send(text);
  expect(socket.writes.length).toBe(2);
  expect(socket.writes.flat().length).toBeGreaterThan(30);
});

test("Session is blocked once its socket keeps bytes back, until it has drained", () => {
  const { socket, session, outgoing, drained } = openSession();
  socket.buffered = 10;
  session.send("a");
  expect(session.blocked).toBe(false);
  outgoing.flush();
  expect(session.blocked).toBe(true);
  expect(session.send("an answer")).toBe(true); // what must be said is still taken
  session.drained();
  expect(session.blocked).toBe(false);
  expect(drained).toEqual([session]);
});

test("Session sends nothing after a frame that the socket dropped, and closes", () => {
  const { socket, session, outgoing } = openSession();
  socket.drops = true;
  session.send("a");
  outgoing.flush();
  expect(socket.closes).toEqual([CLOSE_CODES.slow_reader]);
  expect(session.blocked).toBe(true);
  expect(session.send("b")).toBe(false);
  outgoing.flush();
  expect(socket.writes).toEqual([["a"]]);
});

test("Session closes a socket whose buffer grows beyond its bound", () => {
  const { socket, session, outgoing } = openSession();
  socket.buffered = LIMITS.outboundBytes + 1;
  session.send("a");
  outgoing.flush();
  expect(socket.closes).toEqual([CLOSE_CODES.slow_reader]);
});

test("Session.close() writes what was said before", () => {
  const { socket, session } = openSession();
  session.send("the reason");
  session.close("flooding");
  session.close("flooding");
  expect(socket.writes).toEqual([["the reason"]]);
  expect(socket.closes).toEqual([CLOSE_CODES.flooding]);
});
