/** What stands between the network and the routes: https and proxies, what is no request, and what comes too slowly. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { Elysia } from "elysia";
import { z } from "zod";
import { startApp, type TestApp } from "../support/app.ts";
import { type Edge, type EdgeOptions, signUpSomebody, startEdge } from "../support/edge_server.ts";
import { RawSocket } from "../support/raw_socket.ts";

const echo = () =>
  new Elysia({ name: "echo" }).post("/echo", ({ body }) => ({ read: body }), { body: z.object({}).loose() });

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge({ plugins: () => [echo()] });
});
afterAll(() => edge[Symbol.asyncDispose]());

const others: AsyncDisposable[] = [];
const another = async (options: EdgeOptions) => {
  const other = await startEdge(options);
  others.push(other);
  return other;
};
afterEach(async () => {
  for (const other of others.splice(0)) await other[Symbol.asyncDispose]();
});

/** What came back on a connection, and whether the server closed it. */
interface Heard {
  readonly text: string;
  readonly statuses: readonly number[];
  readonly closed: boolean;
  readonly seconds: number;
}

/**
 * Sends bytes as they are, and then one of `drops` every `everyMs`. Resolves when the server closes, or
 * when what came is `enough`.
 */
function raw(
  port: number,
  text: string,
  enough: (heard: string) => boolean = () => false,
  drops?: { readonly text: string; readonly everyMs: number },
): Promise<Heard> {
  return new Promise((resolve) => {
    const start = performance.now();
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    const timer = drops && setInterval(() => socket.write(drops.text), drops.everyMs);
    const end = (closed: boolean) => {
      clearInterval(timer);
      socket.destroy();
      const statuses = [...received.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
      resolve({ text: received, statuses, closed, seconds: (performance.now() - start) / 1_000 });
    };
    socket.on("data", (chunk) => {
      received += chunk.toString();
      if (enough(received)) end(false);
    });
    socket.on("close", () => end(true));
    socket.on("error", () => {});
  });
}

describe("an https address", () => {
  const proxied = { baseUrl: "https://chat.example/sotto", trustedProxies: ["127.0.0.0/8"] };
  const by = (scheme: string) => ({ "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": scheme });

  test("sends who reads by plain http through a listed proxy on to https, with path and query", async () => {
    const node = await another(proxied);
    for (const method of ["GET", "HEAD"]) {
      const answer = await node.request(method, "/api/auth/me?a=%2F&b=c", { headers: by("http") });
      expect([answer.status, answer.text]).toEqual([308, ""]);
      expect(answer.headers.get("location")).toBe("https://chat.example/sotto/api/auth/me?a=%2F&b=c");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test("refuses who writes by plain http, and never reads what was sent", async () => {
    const node = await another(proxied);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const body = method === "POST" ? "{not even json" : undefined;
      const answer = await node.request(method, "/api/auth/signin", { headers: by("http"), body });
      expect([method, answer.status, answer.json.error.code]).toEqual([method, 403, "https_required"]);
    }
  });

  test("takes requests by https, and tells browsers to keep to it", async () => {
    const node = await another(proxied);
    for (const scheme of ["https", "HTTPS", "https, https"]) {
      const answer = await node.request("GET", "/", { headers: by(scheme) });
      expect([scheme, answer.status]).toEqual([scheme, 200]);
      expect(answer.headers.get("strict-transport-security")).toBe("max-age=31536000; includeSubDomains");
    }
  });

  test("answers monitors by http, which ask from inside", async () => {
    const node = await another(proxied);
    for (const path of ["/health", "/ready"]) {
      expect((await node.request("GET", path, { headers: by("http") })).status).toBe(200);
    }
  });

  test("believes nobody who is not listed", async () => {
    const node = await another({ baseUrl: "https://chat.example" });
    expect((await node.request("GET", "/", { headers: by("http") })).status).toBe(200);
    const plain = await another({ trustedProxies: ["127.0.0.0/8"] });
    expect((await plain.request("GET", "/", { headers: by("http") })).status).toBe(200);
  });

  test("opens no socket by plain http, and one by https", async () => {
    const server: TestApp = await startApp({
      env: { BASE_URL: "https://chat.example", TRUSTED_PROXIES: "127.0.0.1" },
    });
    others.push(server);
    const url = `${server.url.replace("http", "ws")}/ws`;
    const open = (proto: string) =>
      RawSocket.upgrade(url, { "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": proto });
    for (const scheme of ["http", "ws"]) {
      const refused = await open(scheme);
      expect([refused.status, JSON.parse(refused.body).error.code]).toEqual([403, "https_required"]);
    }
    const opened = await open("https");
    expect(opened.status).toBe(101);
    opened.socket[Symbol.dispose]();
  });
});

describe("what is no request, or two in one, is refused and the connection closed", () => {
  const [H, POST, CHUNKED] = [
    "Host: a\r\n",
    "POST /api/auth/signin HTTP/1.1\r\nHost: a\r\n",
    "Transfer-Encoding: chunked\r\n",
  ];
  const INNER = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  test.each<[what: string, bytes: string]>([
    ["a length and chunks", `${POST}Content-Length: 4\r\n${CHUNKED}\r\n0\r\n\r\n${INNER}`],
    ["chunks and a length", `${POST}${CHUNKED}Content-Length: 4\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ["two lengths", `${POST}Content-Length: 3\r\nContent-Length: 10\r\n\r\nabc${INNER}`],
    ["lengths in a list", `${POST}Content-Length: 3, 3\r\n\r\nabc`],
    ["a length with a sign", `${POST}Content-Length: +3\r\n\r\nabc`],
    ["a length below nought", `${POST}Content-Length: -3\r\n\r\nabc`],
    ["a length in hex", `${POST}Content-Length: 0x3\r\n\r\nabc`],
    ["a length beyond counting", `${POST}Content-Length: 99999999999999999999\r\n\r\nabc`],
    ["a coding that is none", `${POST}Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ["two codings", `${POST}${CHUNKED}Transfer-Encoding: identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ["a coding within chunks", `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ["a name with a space behind it", `${POST}Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ["a folded header", `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`],
    ["a chunk of no size", `${POST}${CHUNKED}\r\nzz\r\nabc\r\n0\r\n\r\n`],
    ["a chunk below nought", `${POST}${CHUNKED}\r\n-3\r\nabc\r\n0\r\n\r\n`],
    ["chunks with bare line feeds", `${POST}${CHUNKED}\r\n3\nabc\n0\n\n`],
    ["a chunk beyond counting", `${POST}${CHUNKED}\r\nffffffffffffffff\r\nabc`],
    ["bare line feeds", "GET /health HTTP/1.1\nHost: a\n\n"],
    ["no host", "GET /health HTTP/1.1\r\n\r\n"],
    ["a zero byte", `GET /health HTTP/1.1\r\n${H}X: a\0b\r\n\r\n`],
    ["a bare carriage return", `GET /health HTTP/1.1\r\n${H}X: a\rHost: b\r\n\r\n`],
    ["a name with a space in it", `GET /health HTTP/1.1\r\n${H}X Y: a\r\n\r\n`],
    ["a header without a name", `GET /health HTTP/1.1\r\n${H}: a\r\n\r\n`],
    ["a version that does not exist", `GET /health HTTP/3.0\r\n${H}\r\n`],
    ["no version", "GET /health\r\n\r\n"],
    ["another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a method of signs", `G@T /health HTTP/1.1\r\n${H}\r\n`],
    ["a header of 20 KB", `GET /health HTTP/1.1\r\n${H}X: ${"a".repeat(20_000)}\r\n\r\n`],
    ["300 headers", `GET /health HTTP/1.1\r\n${H}${"X: a\r\n".repeat(300)}\r\n`],
  ])("%s", async (_, bytes) => {
    const heard = await raw(edge.port, bytes);
    expect(heard.closed).toBe(true);
    expect(heard.statuses).toHaveLength(1);
    expect(heard.statuses[0]).toBeOneOf([400, 431, 505]);
    expect(heard.text).not.toContain("smuggled");
  });

  test("a request in the place of a chunked body's trailer is not answered", async () => {
    const heard = await raw(edge.port, `${POST}${CHUNKED}\r\n3\r\nabc\r\n0\r\n${INNER}`);
    expect(heard.closed).toBe(true);
    expect(heard.statuses).not.toContain(404);
    expect(heard.statuses).not.toContain(200);
  });

  test("a second request sent before the answer to the first ends the connection, and the server lives", async () => {
    // The runtime answers neither, and offers no way to (RFC 9112 section 9.3.2 lets a client try again).
    const heard = await raw(edge.port, `GET /health HTTP/1.1\r\n${H}\r\nGET /ready HTTP/1.1\r\n${H}\r\n`);
    expect([heard.closed, heard.statuses]).toEqual([true, []]);
    expect((await edge.request("GET", "/health")).status).toBe(200);
  });

  test("nothing of this is a failure of the server", () => {
    expect(edge.logged()).not.toContain('"level":"error"');
  });
});

describe("what comes too slowly is cut off after ten seconds", () => {
  // The runtime counts in steps of four seconds.
  const LATEST_S = 25;
  const POST = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";

  test.concurrent.each([
    ["nothing at all", "", ""],
    ["half a header", "GET /health HTTP/1.1\r\nHost: a\r\n", ""],
    ["a header drop by drop", "GET /health HTTP/1.1\r\nHost: a\r\nX: ", "a"],
    ["half a body", POST, ""],
    ["a body drop by drop", POST, " "],
  ])("%s", async (_, first, drop) => {
    const heard = await raw(edge.port, first, undefined, { text: drop, everyMs: 500 });
    expect(heard.closed).toBe(true);
    expect(heard.seconds).toBeGreaterThan(5);
    expect(heard.seconds).toBeLessThan(LATEST_S);
    expect(heard.statuses).not.toContain(200);
  });

  test("and is no failure of the server", () => {
    expect(edge.logged()).not.toContain('"level":"error"');
  });
});

describe("requests are counted", () => {
  test("whatever header they bring, so that a made-up token opens no way around the limit", async () => {
    const ways: Record<string, { method: string; path: string; headers?: Record<string, string> }> = {
      "no route": { method: "GET", path: "/nowhere" },
      "a bad token where none is needed": { method: "GET", path: "/", headers: { authorization: "Bearer x" } },
      "a bad token and no route": { method: "GET", path: "/nowhere", headers: { authorization: "Bearer x" } },
      "another scheme": { method: "GET", path: "/", headers: { authorization: "Basic YTpi" } },
      "a preflight": { method: "OPTIONS", path: "/", headers: { origin: "https://a.example" } },
      "a wrong method": { method: "PATCH", path: "/" },
      "a socket without an upgrade": { method: "GET", path: "/ws" },
    };
    for (const [way, { method, path, headers = {} }] of Object.entries(ways)) {
      const limited = await another({ perMinute: 1, burst: 3 });
      const statuses: number[] = [];
      for (let i = 0; i < 5; i++) statuses.push((await limited.request(method, path, { headers })).status);
      expect([way, statuses.map((status) => status === 429)]).toEqual([way, [false, false, false, true, true]]);
    }
  });

  test("once each: an account has all of its burst, on routes that need it and others", async () => {
    const limited = await another({ perMinute: 1, burst: 4 });
    const ada = await signUpSomebody(limited);
    const paths = ["/api/auth/me", "/", "/nowhere", "/api/auth/me", "/api/auth/me"];
    const statuses: number[] = [];
    for (const path of paths) {
      statuses.push((await limited.request("GET", path, { token: ada.access_token })).status);
    }
    expect(statuses).toEqual([200, 200, 404, 200, 429]);
  });
});

describe("JSON", () => {
  test("with a name twice is read by the last, here and everywhere, for one reader reads it", async () => {
    const answer = await edge.request("POST", "/echo", { body: '{"a":"x","a":"y"}' });
    expect(answer.text).toBe('{"read":{"a":"y"}}');
  });

  test.each([
    '{"a":{"__proto__":{"admin":true}}}',
    '{"a":[{"__proto__":1}]}',
    '{"\\u005f_proto__":1}',
    '{"\\u005f\\u005fproto\\u005f_":{}}',
  ])("with a prototype in it is refused, however it is written: %s", async (body) => {
    expect((await edge.request("POST", "/echo", { body })).json.error.code).toBe("bad_json");
  });

  test("of depth 32 is read, of depth 33 refused, whatever stands in its texts", async () => {
    const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;
    expect((await edge.request("POST", "/echo", { body: nested(32) })).status).toBe(200);
    expect((await edge.request("POST", "/echo", { body: nested(33) })).json.error.code).toBe("bad_json");
    const quoted = JSON.stringify({ a: `\\"${"[".repeat(1_000)}` });
    expect((await edge.request("POST", "/echo", { body: quoted })).status).toBe(200);
  });
});
