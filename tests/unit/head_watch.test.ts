import { afterEach, describe, expect, test } from "bun:test";
import { HeadWatch } from "../../src/realtime/head_watch.ts";
import { waitUntil } from "../support/wait.ts";

interface Socket {
  compared: number;
}

let watch: HeadWatch<Socket> | undefined;
afterEach(() => watch?.[Symbol.dispose]());

/** Sockets whose reads end only when the test says so, where `held`. */
function open(count: number, held = false) {
  const state = {
    reads: 0,
    now: 0,
    healthy: true,
    sockets: Array.from({ length: count }, (): Socket => ({ compared: 0 })),
  };
  watch = new HeadWatch<Socket>({
    sockets: () => state.sockets,
    compare: (socket) => {
      socket.compared++;
      if (held) state.reads++;
    },
    reads: () => state.reads,
    healthy: () => state.healthy,
    everyMs: 60_000,
    now: () => state.now,
    random: () => 0,
  });
  for (const socket of state.sockets) watch.opened(socket);
  const total = () => state.sockets.reduce((sum, { compared }) => sum + compared, 0);
  return { state, watch, total };
}

describe("HeadWatch", () => {
  test("compares each socket once a minute while all is well", async () => {
    const { state, watch, total } = open(3);
    watch.check();
    state.now = 59_999;
    watch.check();
    expect(total()).toBe(0);
    state.now = 60_000;
    watch.check();
    watch.check();
    await waitUntil("all compared", () => total() === 3);
    state.now = 119_999;
    watch.check();
    state.now = 120_000;
    watch.check();
    await waitUntil("all compared again", () => total() === 6);
    expect(state.sockets.map(({ compared }) => compared)).toEqual([2, 2, 2]);
  });

  test("compares all at a doubt, a slice at a time, and the next one only when the reads of the last are over", async () => {
    const { state, watch, total } = open(250, true);
    watch.doubt();
    watch.doubt();
    for (const done of [100, 200, 250]) {
      await waitUntil("a slice compared", () => total() === done);
      watch.check(); // as the time goes by
      expect(total()).toBe(done);
      state.reads = 0;
    }
    expect(state.sockets.every(({ compared }) => compared === 1)).toBe(true);
  });

  test("compares all at every look while the bus is not healthy, and stops when it is", async () => {
    const { state, watch, total } = open(5);
    state.healthy = false;
    for (let look = 1; look <= 3; look++) {
      watch.check();
      await waitUntil("all compared", () => total() === 5 * look);
    }
    state.healthy = true;
    watch.check();
    watch.doubt();
    await waitUntil("all compared", () => total() === 20);
  });

  test("forgets a socket that is gone before its turn", async () => {
    const { state, watch, total } = open(101, true);
    watch.doubt();
    const last = state.sockets.pop() as Socket;
    watch.closed(last);
    await waitUntil("the rest compared", () => total() === 100);
    state.reads = 0;
    watch.doubt();
    await waitUntil("the rest compared again", () => total() === 200);
    expect(last.compared).toBe(0);
  });
});
