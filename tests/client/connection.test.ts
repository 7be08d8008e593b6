import { describe, expect, test } from "bun:test";
import { Connection, type ConnectionStatus, type SocketLike } from "../../src/client/connection.ts";
import { SottoError } from "../../src/client/sotto_error.ts";
import { backoffMs } from "../../src/client/timing.ts";
import { CLOSE_CODES } from "../../src/protocol/mod.ts";
import { ManualTiming, settle } from "./manual_timing.ts";

/** The port's other side: a socket whose server is the test. */
class TestSocket implements SocketLike {
  readyState = 0;
  readonly sent: string[] = [];
  closedWith: number | undefined;
  readonly #listeners = new Map<string, (event: never) => void>();

  send(data: string): void {
    this.sent.push(data);
  }

  close(code?: number): void {
    this.readyState = 2;
    this.closedWith = code;
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, listener);
  }

  emit(type: "open" | "close" | "message", event: object = {}): void {
    this.readyState = type === "open" ? 1 : type === "close" ? 3 : this.readyState;
    this.#listeners.get(type)?.(event as never);
  }

  say(frame: object): void {
    this.emit("message", { data: JSON.stringify(frame) });
  }
}

const WELCOME = {
  type: "welcome",
  user_id: "u",
  session_id: "s",
  device_id: "d",
  expires_at: "",
  heartbeat_ms: 30_000,
};

function setUp(options: { random?: () => number; tokens?: (string | Error)[] } = {}) {
  const timing = new ManualTiming({ random: options.random ?? (() => 1) });
  const sockets: TestSocket[] = [];
  const states: ConnectionStatus["state"][] = [];
  const asked: boolean[] = [];
  const network = new EventTarget();
  let downs = 0;
  const connection = new Connection({
    url: "ws://server/ws",
    timing,
    network,
    openSocket: () => {
      const socket = new TestSocket();
      sockets.push(socket);
      return socket;
    },
    token: async (fresh) => {
      asked.push(fresh);
      const token = options.tokens?.shift() ?? "token";
      if (token instanceof Error) throw token;
      return token;
    },
    onWelcome: () => {},
    onFrame: () => {},
    onDown: () => downs++,
    onStatus: (status) => states.push(status.state),
  });
  const socket = () => sockets.at(-1) ?? new TestSocket();
  const goLive = async () => {
    await settle();
    socket().emit("open");
    socket().say(WELCOME);
    socket().say({ type: "caught_up" });
  };
  return { timing, sockets, socket, states, asked, connection, network, goLive, downs: () => downs };
}

describe("Connection", () => {
  test("goes from idle to live, with the token in the first frame [AUTH-2]", async () => {
    const { connection, socket, states, goLive } = setUp();
    expect(connection.send("{}")).toBe(false);
    connection.start();
    await goLive();
    expect(states).toEqual(["connecting", "authenticating", "catching_up", "live"]);
    expect(JSON.parse(socket().sent[0] ?? "")).toEqual({ type: "authenticate", token: "token" });
    expect(connection.send("{}")).toBe(true);
  });

  test("waits longer after each failure, at most 30 s, with full jitter", async () => {
    const { connection, socket, sockets, timing } = setUp();
    connection.start();
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      await settle();
      socket().emit("close", { code: 1006, reason: "" });
      const { status } = connection;
      if (status.state !== "waiting") throw new Error(status.state);
      waits.push(status.untilMs - timing.now());
      timing.advance(waits.at(-1) ?? 0);
    }
    await settle();
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(sockets).toHaveLength(10);
    expect(backoffMs(3, 0, 500, 30_000)).toBe(0);
    expect(backoffMs(3, 0.5, 500, 30_000)).toBe(2_000);
  });

  test("starts the back-off anew only after it was live for a while", async () => {
    const { connection, socket, timing, goLive } = setUp();
    connection.start();
    const fail = async (liveMs: number) => {
      await goLive();
      timing.advance(liveMs);
      socket().emit("close", { code: CLOSE_CODES.draining, reason: "" });
      const { status } = connection;
      const ms = status.state === "waiting" ? status.untilMs - timing.now() : -1;
      timing.advance(ms);
      return ms;
    };
    expect([await fail(0), await fail(0), await fail(11_000), await fail(0)]).toEqual([500, 1_000, 500, 1_000]);
  });

  test("refreshes the token on 4401 and stops when that one is refused too [CLS-1]", async () => {
    const { connection, socket, asked } = setUp();
    connection.start();
    await settle();
    socket().emit("open");
    socket().emit("close", { code: 4401, reason: "" });
    await settle();
    expect(asked).toEqual([false, true]);
    socket().emit("open");
    socket().emit("close", { code: 4401, reason: "" });
    expect(connection.status).toEqual({ state: "stopped", reason: { code: "unauthorized", closeCode: 4401 } });
  });

  for (const reason of [
    "bad_protocol",
    "wrong_session",
    "authentication_timeout",
    "too_many_sockets",
    "session_ended",
  ] as const) {
    test(`stops on ${CLOSE_CODES[reason]} and says why [CLS-1]`, async () => {
      const { connection, socket, timing, goLive } = setUp();
      connection.start();
      await goLive();
      socket().emit("close", { code: CLOSE_CODES[reason], reason: "" });
      expect(connection.status).toEqual({ state: "stopped", reason: { code: reason, closeCode: CLOSE_CODES[reason] } });
      expect(timing.waiting).toBe(0);
    });
  }

  test("comes back from every other code, also unknown ones [CLS-1]", async () => {
    for (const code of [1000, 1001, 1006, 1009, 1012, 3999, 4000, 4500, 4503, 4508, 4509, 4529, 4999]) {
      const { connection, socket, goLive } = setUp();
      connection.start();
      await goLive();
      socket().emit("close", { code, reason: "" });
      expect(connection.status.state).toBe("waiting");
    }
  });

  test("finds a half-open socket within 45 s [HB-1]", async () => {
    const { connection, socket, timing, goLive, downs } = setUp();
    connection.start();
    await goLive();
    timing.advance(20_000);
    expect(socket().sent.at(-1)).toBe('{"type":"ping"}');
    socket().say({ type: "pong" });
    timing.advance(25_000);
    expect(connection.status.state).toBe("live");
    timing.advance(5_000 + 1);
    expect(connection.status).toMatchObject({ state: "waiting", reason: "half_open" });
    expect(downs()).toBe(1);
  });

  test("drops a socket that does not open", async () => {
    const { connection, timing } = setUp();
    connection.start();
    await settle();
    timing.advance(10_000);
    expect(connection.status).toMatchObject({ state: "waiting", reason: "timeout" });
  });

  test("renews the token on the same socket and stays live [AUTH-5]", async () => {
    const { connection, socket, sockets, states, asked, timing, goLive } = setUp({ tokens: ["one", "two"] });
    connection.start();
    await goLive();
    socket().say({ type: "reauth", expires_at: "" });
    timing.advance(0);
    await settle();
    expect(JSON.parse(socket().sent.at(-1) ?? "")).toEqual({ type: "authenticate", token: "two" });
    socket().say(WELCOME);
    expect(states.at(-1)).toBe("live");
    expect(asked).toEqual([false, true]);
    expect(sockets).toHaveLength(1);
  });

  test("renews not more often than every 25 s, also when the server asks at once", async () => {
    const { connection, socket, asked, timing, goLive } = setUp();
    connection.start();
    await goLive();
    for (let second = 0; second < 60; second++) {
      socket().say({ type: "reauth", expires_at: "" });
      timing.advance(1_000);
      await settle();
    }
    expect(asked.filter((fresh) => fresh)).toHaveLength(3);
    connection.stop({ code: "closed" });
    expect(timing.waiting).toBe(0);
  });

  test("waits when no token can be had now, stops when there will be none", async () => {
    const { connection, timing } = setUp({
      tokens: [new SottoError("network", "", { retryable: true }), new SottoError("refresh_reused", "")],
    });
    connection.start();
    await settle();
    expect(connection.status.state).toBe("waiting");
    timing.advance(500);
    await settle();
    expect(connection.status).toMatchObject({ state: "stopped", reason: { code: "refresh_reused" } });
  });

  test("tries at once when the machine is online again", async () => {
    const { connection, socket, sockets, network } = setUp();
    connection.start();
    await settle();
    socket().emit("close", { code: 1006, reason: "" });
    network.dispatchEvent(new Event("online"));
    await settle();
    expect(sockets).toHaveLength(2);
  });

  test("hears nothing of a socket that it dropped, and leaves no timer", async () => {
    const { connection, socket, timing, states, goLive } = setUp();
    connection.start();
    await goLive();
    const old = socket();
    connection.stop({ code: "closed" });
    old.say({ type: "caught_up" });
    old.emit("close", { code: 4410, reason: "" });
    expect(states.at(-1)).toBe("stopped");
    expect(connection.status).toEqual({ state: "stopped", reason: { code: "closed" } });
    expect(timing.waiting).toBe(0);
  });

  test("does not open a socket when it was stopped while it waited for a token", async () => {
    const { connection, sockets } = setUp();
    connection.start();
    connection.stop({ code: "closed" });
    await settle();
    expect(sockets).toHaveLength(0);
  });
});
