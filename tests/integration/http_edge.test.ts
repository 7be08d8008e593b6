/** What holds for every route: ids, headers, limits, bodies, and what a refusal looks like. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { Elysia } from "elysia";
import { z } from "zod";
import { STANDARD_BODY_BYTES } from "../../src/http/mod.ts";
import { OverloadedError } from "../../src/platform/overloaded.ts";
import { DatabaseFault } from "../../src/platform/postgres.ts";
import { DomainError } from "../../src/protocol/mod.ts";
import { type Edge, type EdgeOptions, signUpSomebody, startEdge } from "../support/edge_server.ts";
import { MAY_END_SERVER, startDatabaseServer, stopDatabaseServer } from "../support/postgres.ts";
import { BUSY_MS } from "../support/wait.ts";

/** Routes that fail in each way, and one that gives back what it read. */
const failing = () =>
  new Elysia({ name: "failing" })
    .post("/echo", ({ body }) => ({ read: body }), { body: z.object({ a: z.string().optional() }).loose() })
    .post("/form", ({ body }) => ({ read: body }), { body: z.object({ a: z.string() }) })
    .post("/strict", () => "", {
      body: z.object({ content: z.string().max(3), n: z.int(), deep: z.object({ m: z.email() }) }),
    })
    .get("/params/:id", ({ params }) => params, { params: z.object({ id: z.uuid() }) })
    .get("/query", ({ query }) => query, { query: z.object({ limit: z.coerce.number().int().max(9).default(5) }) })
    .get("/throws/:what", ({ params }) => {
      if (params.what === "fault")
        throw new DatabaseFault("The database does not answer", { cause: new Error(CANARY) });
      if (params.what === "overload") throw new OverloadedError(CANARY);
      if (params.what === "domain") throw new DomainError("conflict", { details: { a: 1 }, cause: new Error(CANARY) });
      if (params.what === "text") throw CANARY;
      throw new TypeError(CANARY);
    });
const CANARY = "canary-7f3b-should-stay-inside";

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge({
    corsOrigins: ["https://app.example", "http://localhost:3000"],
    bodyRules: { "/form": { form: true, maxBytes: 100 } },
    plugins: () => [failing()],
  });
});
afterAll(() => edge[Symbol.asyncDispose]());

const others: Edge[] = [];
const another = async (options: EdgeOptions) => {
  const other = await startEdge(options);
  others.push(other);
  return other;
};
afterEach(async () => {
  for (const other of others.splice(0)) await other[Symbol.asyncDispose]();
});

/** Sends bytes as they are, and gives what comes back until the server closes or `until` is there. */
function raw(port: number, text: string, until = "\r\n\r\n"): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (chunk) => {
      received += chunk.toString();
      if (received.includes(until)) socket.destroy();
    });
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
  });
}

describe("a refusal", () => {
  test("has a code, a plain sentence and the request's id, and nothing else", async () => {
    const answer = await edge.request("GET", "/throws/domain");
    expect(answer.status).toBe(409);
    expect(Object.keys(answer.json)).toEqual(["error"]);
    const requestId = answer.headers.get("x-request-id") ?? "";
    expect(answer.json.error as object).toEqual({
      code: "conflict",
      message: "Use a new id",
      requestId,
      details: { a: 1 },
    });
  });

  test.each([
    ["bug", 500, "internal"],
    ["text", 500, "internal"],
    ["fault", 503, "unavailable"],
    ["overload", 503, "overloaded"],
  ])("for a %s says %i %s without its text", async (what, status, code) => {
    const answer = await edge.request("GET", `/throws/${what}`);
    expect([answer.status, answer.json.error.code]).toEqual([status, code]);
    expect(answer.text).not.toContain(CANARY);
    expect(answer.json.error.details).toBeUndefined();
    expect(answer.headers.get("retry-after")).toBe(status === 503 ? "1" : null);
  });

  test("that was not expected is in the log with its cause and the request's id", async () => {
    const answer = await edge.request("GET", "/throws/bug");
    const line = edge
      .logged()
      .split("\n")
      .find((text) => text.includes(answer.json.error.requestId) && text.includes('"error"'));
    expect(line).toContain(CANARY);
  });

  test("names wrong fields, and never their values", async () => {
    const body = { content: 7, n: CANARY, deep: { m: CANARY } };
    const answer = await edge.request("POST", "/strict", { body });
    expect([answer.status, answer.json.error.code]).toEqual([400, "bad_request"]);
    expect(Object.keys(answer.json.error.details?.["fields"] ?? {}).sort()).toEqual(["content", "deep.m", "n"]);
    expect(answer.text).not.toContain(CANARY);
  });

  test("for content that is too long is payload_too_large", async () => {
    const answer = await edge.request("POST", "/strict", {
      body: { content: "four", n: 1, deep: { m: "a@b.example" } },
    });
    expect([answer.status, answer.json.error.code]).toEqual([413, "payload_too_large"]);
  });

  test("for an id in the address that is none is not_found", async () => {
    expect((await edge.request("GET", "/params/1")).json.error.code).toBe("not_found");
  });

  test("for a bad parameter is bad_request", async () => {
    for (const query of ["limit=x", "limit=10", "limit=1&limit=2", "limit=-1e999", "limit[]=1"]) {
      const answer = await edge.request("GET", `/query?${query}`);
      if (query === "limit[]=1") expect(answer.status).toBe(200);
      else expect([query, answer.status, answer.json.error.code]).toEqual([query, 400, "bad_request"]);
    }
  });
});

describe("an address", () => {
  test.each([
    "/nowhere",
    "/api/auth/nowhere",
    "/api/users/x/y/z",
    "/%00",
    "/%E0%A4%A",
    "/..%2f..%2fetc/passwd",
    "/api/auth/me/extra",
  ])("that is not there is not_found: %p", async (path) => {
    const answer = await edge.request("GET", path);
    expect([path, answer.status, answer.json.error.code]).toEqual([path, 404, "not_found"]);
  });

  test.each([
    ["GET", "/api/auth/signup", "POST"],
    ["DELETE", "/api/auth/me", "GET, HEAD"],
    ["POST", "/params/1", "GET, HEAD"],
    ["PATCH", "/health", "GET, HEAD"],
    ["PROPFIND", "/health/", "GET, HEAD"],
  ])("that is there refuses %s %s and allows %s", async (method, path, allow) => {
    const answer = await edge.request(method, path);
    expect([answer.status, answer.json.error.code]).toEqual([405, "method_not_allowed"]);
    expect(answer.headers.get("allow")).toBe(allow);
  });

  test("answers HEAD as GET, without a body", async () => {
    const answer = await edge.request("HEAD", "/health");
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });
});

describe("a body", () => {
  test.each([
    ['{"a"', "bad_json"],
    ["", ""],
    ["{a:1}", "bad_json"],
    ["nul", "bad_json"],
    ['{"a":1}{"b":2}', "bad_json"],
    ['{"__proto__":{"admin":true}}', "bad_json"],
    ["[".repeat(100_000), "bad_json"],
    [`{"a":${"[".repeat(33)}${"]".repeat(33)}}`, "bad_json"],
    ["null", "bad_request"],
    ["[]", "bad_request"],
    ['"text"', "bad_request"],
    ['{"a":{}}', "bad_request"],
    ['{"a":"fine"}', ""],
  ])("%# of JSON is judged: %.40p is %p", async (body, code) => {
    const answer = await edge.request("POST", "/echo", { body });
    expect(answer.status).toBe(code === "" ? 200 : 400);
    if (code !== "") expect(answer.json.error.code).toBe(code);
  });

  test("that is not UTF-8 is bad_json", async () => {
    const body = new Uint8Array([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d]);
    expect((await edge.request("POST", "/echo", { body })).json.error.code).toBe("bad_json");
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=latin1",
    "application/jsonp",
    "",
  ])("of type %p is unsupported_media_type", async (type) => {
    const answer = await edge.request("POST", "/echo", { body: '{"a":"x"}', headers: { "content-type": type } });
    expect([answer.status, answer.json.error.code]).toEqual([415, "unsupported_media_type"]);
  });

  test.each(["application/json", "application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'])(
    "of type %p is read",
    async (type) => {
      const answer = await edge.request("POST", "/echo", { body: '{"a":"x"}', headers: { "content-type": type } });
      expect(answer.json as object).toEqual({ read: { a: "x" } });
    },
  );

  test("that is compressed is refused: nothing unpacks it", async () => {
    const body = Bun.gzipSync(new TextEncoder().encode('{"a":"x"}'));
    const answer = await edge.request("POST", "/echo", {
      body,
      headers: { "content-encoding": "gzip", "content-type": "application/json" },
    });
    expect([answer.status, answer.json.error.code]).toEqual([415, "unsupported_media_type"]);
  });

  test("that is a form is read where the route says so, each field once", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const form = (body: string) => edge.request("POST", "/form", { body, headers });
    expect((await form("a=x+y%21")).json as object).toEqual({ read: { a: "x y!" } });
    expect((await form("a=x&a=y")).json.error.code).toBe("bad_request");
    expect((await form("__proto__=x")).json.error.code).toBe("bad_request");
    expect((await edge.request("POST", "/form", { body: { a: "x" } })).status).toBe(200);
  });

  test("that is too large is refused, whether its length is announced or not", async () => {
    const text = JSON.stringify({ a: "x".repeat(STANDARD_BODY_BYTES) });
    const announced = await edge.request("POST", "/echo", { body: text });
    expect([announced.status, announced.json.error.code]).toEqual([413, "payload_too_large"]);
    expect(announced.json.error.details).toEqual({ max_bytes: STANDARD_BODY_BYTES });
    const chunk = `${(1_024).toString(16)}\r\n${"y".repeat(1_024)}\r\n`;
    const head =
      "POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    const answer = await raw(edge.port, `${head}${chunk.repeat(4)}0\r\n\r\n`, '"max_bytes":100');
    expect(answer).toStartWith("HTTP/1.1 413");
  });

  test("just below the limit is read", async () => {
    const text = JSON.stringify({ a: "x".repeat(STANDARD_BODY_BYTES - 8) });
    expect(text.length).toBe(STANDARD_BODY_BYTES);
    expect((await edge.request("POST", "/echo", { body: text })).status).toBe(200);
  });
});

describe("headers", () => {
  const expected = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
  };

  test.each(["/", "/health", "/nowhere", "/api/auth/me", "/throws/bug"])("of %s are the careful ones", async (path) => {
    const { headers } = await edge.request("GET", path);
    for (const [name, value] of Object.entries(expected)) expect([name, headers.get(name)]).toEqual([name, value]);
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get("strict-transport-security")).toBeNull();
  });

  test("tell browsers to keep to https where the server is reached by it", async () => {
    const secure = await another({ baseUrl: "https://chat.example" });
    const { headers } = await secure.request("GET", "/health");
    expect(headers.get("strict-transport-security")).toBe("max-age=31536000; includeSubDomains");
  });

  test("carry on a sane request id, and replace any other", async () => {
    const ask = async (id: string) =>
      (await edge.request("GET", "/health", { headers: { "x-request-id": id } })).headers.get("x-request-id");
    expect(await ask("abcDEF-123_456")).toBe("abcDEF-123_456");
    for (const id of ["short", "x".repeat(65), "with space in it", "<script>alert(1)</script>"])
      expect(await ask(id)).not.toBe(id);
  });

  test.each([
    ["two hosts", "Host: one.example\r\nHost: two.example\r\n"],
    ["an empty host", "Host: \r\n"],
    ["an address that is cut", "Host: [::1\r\n"],
    ["a host with a path", "Host: a/b?c\r\n"],
    ["a host with spaces", "Host: a b\r\n"],
    ["a host of signs", "Host: %%%\r\n"],
    ["a port that is none", "Host: a:999999\r\n"],
  ])("with %s are refused, and the server lives", async (_, host) => {
    for (const path of ["/health", "/api/auth/me", "/nowhere"]) {
      const answer = await raw(edge.port, `GET ${path} HTTP/1.1\r\n${host}\r\n`, "requestId");
      expect(answer).toStartWith("HTTP/1.1 400");
      expect(answer).toContain('"bad_request"');
    }
    expect((await edge.request("GET", "/health")).status).toBe(200);
  });

  test.each(["localhost", "a", "my_service:8000", "127.0.0.1:80", "[::1]:8000"])(
    "with the host %s are answered",
    async (host) => {
      expect(await raw(edge.port, `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`, "in_process")).toStartWith(
        "HTTP/1.1 200",
      );
      expect(await raw(edge.port, `GET /nowhere HTTP/1.1\r\nHost: ${host}\r\n\r\n`, "requestId")).toStartWith(
        "HTTP/1.1 404",
      );
    },
  );
});

describe("other origins", () => {
  const preflight = (origin: string) =>
    edge.request("OPTIONS", "/api/auth/signin", { headers: { origin, "access-control-request-method": "POST" } });

  test.each(["https://app.example", "http://localhost:3000"])("that are listed may call: %s", async (origin) => {
    const asked = await preflight(origin);
    expect([asked.status, asked.headers.get("access-control-allow-origin")]).toEqual([204, origin]);
    expect(asked.headers.get("access-control-allow-headers")).toContain("authorization");
    for (const path of ["/health", "/nowhere", "/api/auth/me"]) {
      const answer = await edge.request("GET", path, { headers: { origin } });
      expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
      expect(answer.headers.get("vary")).toContain("Origin");
      expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
    }
  });

  test.each([
    "https://app.example.evil.example",
    "http://app.example",
    "https://APP.example",
    "null",
    "app.example",
    "constructor",
    "https://app.example:444",
    "*",
  ])("that are not listed may not: %s", async (origin) => {
    expect((await preflight(origin)).headers.get("access-control-allow-origin")).toBeNull();
    const answer = await edge.request("GET", "/health", { headers: { origin } });
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    // A cache that kept this for one origin would give it to another.
    expect(answer.headers.get("vary")).toContain("Origin");
  });
});

describe("limits", () => {
  test("count anonymous requests by address, say when to come back, and spare what monitors ask for", async () => {
    const limited = await another({ perMinute: 1, burst: 5 });
    const codes: number[] = [];
    for (let i = 0; i < 7; i++) codes.push((await limited.request("GET", "/")).status);
    expect(codes).toEqual([200, 200, 200, 200, 200, 429, 429]);
    const refused = await limited.request("GET", "/nowhere");
    expect(refused.json.error.code).toBe("rate_limited");
    const waitMs = Number(refused.json.error.details?.["retry_after_ms"]);
    expect(waitMs).toBeWithin(30_000, 60_001);
    expect(refused.headers.get("retry-after")).toBe(String(Math.ceil(waitMs / 1_000)));
    for (let i = 0; i < 20; i++) expect((await limited.request("GET", "/health")).status).toBe(200);
    limited.clock.advance(60_000);
    expect((await limited.request("GET", "/")).status).toBe(200);
  });

  test("count a caller's requests by account, so one does not use up another's", async () => {
    const limited = await another({ perMinute: 1, burst: 4 });
    const [ada, bob] = [await signUpSomebody(limited), await signUpSomebody(limited)];
    const me = async (token: string) => (await limited.request("GET", "/api/auth/me", { token })).status;
    for (let i = 0; i < 4; i++) expect(await me(ada.access_token)).toBe(200);
    expect(await me(ada.access_token)).toBe(429);
    expect(await me(bob.access_token)).toBe(200);
    // Bad tokens are the address's: two were used by signing up.
    const bad = [await me("x"), await me("y"), await me("z")];
    expect(bad).toEqual([401, 401, 429]);
    expect(await me(bob.access_token)).toBe(200);
  });

  test("slow sign-in down for one name from one address, and another name still gets in", async () => {
    const limited = await another({ signInsPerMinute: 10 });
    const [ada, bob] = [await signUpSomebody(limited), await signUpSomebody(limited)];
    const signIn = (username: string, password: string) =>
      limited.request("POST", "/api/auth/signin", { body: { username, password } });
    for (let i = 0; i < 10; i++) expect((await signIn(ada.username, "wrong pass phrase")).status).toBe(401);
    const refused = await signIn(ada.username.toUpperCase(), ada.password);
    expect([refused.status, refused.json.error.code]).toEqual([429, "rate_limited"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(50);
    expect((await signIn(bob.username, bob.password)).status).toBe(200);
  });

  test("slow sign-in down for an address that tries many names", async () => {
    const limited = await another({ signInsPerMinute: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) {
      const body = { username: `guess-${i}`, password: "wrong pass phrase" };
      statuses.push((await limited.request("POST", "/api/auth/signin", { body })).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429, 429]);
  });

  test("slow registration down to five a minute", async () => {
    const limited = await another({ signUpsPerMinute: 5 });
    for (let i = 0; i < 5; i++) await signUpSomebody(limited);
    const body = { username: "the-sixth", password: "wind mill 1843" };
    const refused = await limited.request("POST", "/api/auth/signup", { body });
    expect([refused.status, refused.json.error.code]).toEqual([429, "rate_limited"]);
  });

  test("count by what a listed proxy says of the sender, and by the peer where nobody is listed", async () => {
    const ask = async (node: Edge, forwarded: string) =>
      (await node.request("GET", "/", { headers: { "x-forwarded-for": forwarded } })).status;
    const behind = await another({ perMinute: 1, burst: 2, trustedProxies: ["127.0.0.0/8"] });
    for (let i = 0; i < 4; i++) expect(await ask(behind, `203.0.113.${i}`)).toBe(200);
    expect([await ask(behind, "203.0.113.9"), await ask(behind, "203.0.113.9")]).toEqual([200, 200]);
    // What the sender itself put before the proxy's word changes nothing.
    expect(await ask(behind, "198.51.100.7, 203.0.113.9")).toBe(429);
    const open = await another({ perMinute: 1, burst: 2 });
    expect([await ask(open, "203.0.113.1"), await ask(open, "203.0.113.2"), await ask(open, "203.0.113.3")]).toEqual([
      200, 200, 429,
    ]);
  });
});

describe("health", () => {
  test("is told, also while draining, when the node is not ready", async () => {
    let draining = false;
    const node = await another({ isDraining: () => draining });
    expect((await node.request("GET", "/health")).json as object).toEqual({
      status: "ok",
      database: "up",
      bus: "in_process",
    });
    expect((await node.request("GET", "/ready")).status).toBe(200);
    draining = true;
    const ready = await node.request("GET", "/ready");
    expect([ready.status, ready.json.status]).toEqual([503, "draining"]);
    expect((await node.request("GET", "/health")).status).toBe(200);
  });

  test.skipIf(!MAY_END_SERVER)(
    "is told fast when the database has gone; requests are unavailable until it is back",
    async () => {
      const node = await another({});
      const { access_token: token } = await signUpSomebody(node);
      const me = () => node.request("GET", "/api/auth/me", { token });
      await stopDatabaseServer();
      try {
        node.clock.advance(2_000); // what was known of database and session is no longer fresh
        const start = performance.now();
        expect((await node.request("GET", "/health")).json as object).toMatchObject({ status: "ok", database: "down" });
        expect((await node.request("GET", "/ready")).status).toBe(503);
        expect(performance.now() - start).toBeLessThan(BUSY_MS);
        const refused = await me();
        expect([refused.status, refused.json.error.code]).toEqual([503, "unavailable"]);
      } finally {
        await startDatabaseServer();
      }
      node.clock.advance(2_000);
      expect((await node.request("GET", "/ready")).status).toBe(200);
      expect((await me()).status).toBe(200);
    },
    60_000,
  ); // stopping writes a checkpoint of every test's database
});

describe("metrics", () => {
  test("are for this machine only, and not for what a proxy on it forwards", async () => {
    const here = await edge.request("GET", "/metrics");
    expect([here.status, here.text]).toEqual([200, "sotto_test 1\n"]);
    expect(here.headers.get("content-type")).toStartWith("text/plain");
    expect((await edge.request("GET", "/metrics", { headers: { "x-forwarded-for": "203.0.113.9" } })).status).toBe(404);
  });

  test("are for who has the token, where there is one", async () => {
    const node = await another({ metricsToken: "a long metrics token" });
    expect((await node.request("GET", "/metrics")).status).toBe(404);
    expect((await node.request("GET", "/metrics", { token: "another token" })).status).toBe(404);
    expect((await node.request("GET", "/metrics", { token: "a long metrics token" })).status).toBe(200);
  });
});

test("a password and a token are in no answer and in no line of the log", async () => {
  const password = "canary pass phrase 91";
  const node = await another({ plugins: () => [failing()] });
  const somebody = await signUpSomebody(node, { password });
  const bodies: unknown[] = [
    { username: "x", password },
    { username: password, password },
    { username: somebody.username, password: [password] },
    { username: somebody.username, password, device_id: password },
    { username: somebody.username, password: `${password}!` },
    { username: somebody.username, password, email: password },
    `{"username":"${password}","password":"${password}"`,
    { refresh_token: `${password} ${somebody.refresh_token}` },
    { public_key: password, username: "y".repeat(8), password },
    { current_password: password, new_password: [password] },
    { token: password, new_password: password },
    { token: password, device_id: password },
    { email: password, password },
    { email: `${password.replaceAll(" ", "-")}@example.org`, password },
  ];
  let answers = "";
  for (const path of [
    "/api/auth/signin",
    "/api/auth/signup",
    "/api/auth/refresh",
    "/api/auth/signout",
    "/api/auth/change-password",
    "/api/auth/password-reset",
    "/api/auth/password-reset/verify",
    "/api/auth/magic-link",
    "/api/auth/magic-link/verify",
    "/api/auth/email",
    "/api/auth/email/verification",
    "/api/auth/email/verify",
    `/echo/${encodeURIComponent(password)}`,
  ]) {
    for (const body of bodies)
      answers += (await node.request("POST", path, { body, headers: { "x-request-id": password } })).text;
  }
  for (const body of bodies) {
    const { access_token: token } = somebody;
    for (const path of ["change-password", "email"])
      answers += (await node.request("POST", `/api/auth/${path}`, { body, token })).text;
  }
  expect(answers).toContain('"error"');
  for (const secret of [password, encodeURIComponent(password), somebody.refresh_token, somebody.access_token]) {
    expect(answers).not.toContain(secret);
    expect(node.logged()).not.toContain(secret);
  }
  expect(node.logged()).toContain("A request was answered");
});
