/** The proxy that breaks the network: what it holds, slows, cuts and resets, and that healing loses nothing. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { TcpProxy } from "../support/tcp_proxy.ts";
import { waitUntil } from "../support/wait.ts";

/** Answers every byte with the same byte. */
let server: Server;
const served = new Set<Socket>();
let proxy: TcpProxy;

beforeAll(async () => {
  server = createServer((socket) => {
    served.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => served.delete(socket));
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.close();
});
beforeEach(async () => {
  proxy = await TcpProxy.start({ host: "127.0.0.1", port: serverPort(), random: () => 0.5 });
});
afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await waitUntil("the server's sockets are gone", () => served.size === 0);
});

interface Caller extends Disposable {
  readonly socket: Socket;
  readonly heard: () => string;
  readonly end: () => string | null;
}

/** There and back beside the proxy. */
async function roundTrip(): Promise<void> {
  using caller = call(serverPort());
  caller.socket.write("there and back");
  await waitUntil("the echo came", () => caller.heard() === "there and back");
}

function serverPort(): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function call(port = proxy.port): Caller {
  const socket = createConnection({ host: "127.0.0.1", port });
  let heard = "";
  let end: string | null = null;
  socket.on("data", (chunk: Buffer) => {
    heard += chunk.toString();
  });
  socket.on("error", (error: Error & { code?: string }) => {
    end = error.code ?? error.message;
  });
  socket.on("close", () => {
    end ??= "closed";
  });
  return { socket, heard: () => heard, end: () => end, [Symbol.dispose]: () => void socket.destroy() };
}

test("TcpProxy carries both directions and the end", async () => {
  using caller = call();
  caller.socket.write("hello");
  await waitUntil("the echo came", () => caller.heard() === "hello");
  caller.socket.end();
  await waitUntil("the end came back", () => caller.end() === "closed" && proxy.connections === 0);
});

for (const direction of ["up", "down"] as const) {
  test(`TcpProxy holds what goes ${direction}, and gives it in order when healed`, async () => {
    using caller = call();
    caller.socket.write("a");
    await waitUntil("the echo came", () => caller.heard() === "a");
    proxy.hold(direction);
    for (const letter of "bcdef") caller.socket.write(letter);
    using other = call(); // accepted, and not answered
    other.socket.write("z");
    await waitUntil("the bytes reached the proxy", () => proxy.connections === 2);
    await roundTrip(); // what must not come has had its chance
    expect([caller.heard(), other.heard()]).toEqual(["a", ""]);
    proxy.heal();
    await waitUntil("all came", () => caller.heard() === "abcdef" && other.heard() === "z");
  });
}

test("TcpProxy keeps the end of a connection to itself while its direction is held", async () => {
  const caller = call();
  caller.socket.write("a");
  await waitUntil("the echo came", () => caller.heard() === "a");
  proxy.hold("up");
  caller.socket.destroy();
  await waitUntil("the caller is gone", () => caller.end() !== null);
  await roundTrip();
  await waitUntil("the round trip's socket is gone", () => served.size <= 1);
  expect(served.size).toBe(1);
  proxy.heal();
  await waitUntil("the server learned of it", () => served.size === 0);
});

test("TcpProxy does not take more than its bound of what it holds", async () => {
  using caller = call();
  proxy.hold("up");
  const flood = Buffer.alloc(32 * 1024 * 1024);
  caller.socket.write(flood);
  await waitUntil("the caller cannot write on", () => caller.socket.writableLength > 0);
  proxy.heal();
  await waitUntil("all of it came back", () => caller.heard().length === flood.length);
});

test("TcpProxy slows a direction by what it is told", async () => {
  using caller = call();
  caller.socket.write("a");
  await waitUntil("the echo came", () => caller.heard() === "a");
  proxy.slow("down", 200, 100);
  const before = performance.now();
  caller.socket.write("b");
  await waitUntil("the echo came late", () => caller.heard() === "ab");
  expect(performance.now() - before).toBeGreaterThan(240);
});

test("TcpProxy cuts connections and refuses new ones until healed", async () => {
  using caller = call();
  caller.socket.write("a");
  await waitUntil("the echo came", () => caller.heard() === "a");
  proxy.cut();
  await waitUntil("the caller was cut", () => caller.end() !== null);
  using refused = call();
  refused.socket.write("b");
  await waitUntil("a new one is refused", () => refused.end() !== null);
  proxy.heal();
  using again = call();
  again.socket.write("c");
  await waitUntil("a new one is served", () => again.heard() === "c");
});

test("TcpProxy resets connections and accepts new ones", async () => {
  using caller = call();
  caller.socket.write("a");
  await waitUntil("the echo came", () => caller.heard() === "a");
  proxy.reset();
  await waitUntil("the caller was reset", () => caller.end() !== null);
  expect(caller.end()).toBe("ECONNRESET");
  using again = call();
  again.socket.write("b");
  await waitUntil("a new one is served", () => again.heard() === "b");
});
