/** Family A of the contracts ("relay"), row by row: as a client that knows nothing else of the server would use it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { accountExists } from "../../src/accounts/mod.ts";
import { relayBodyRules, relayRoutes } from "../../src/compat/relay/mod.ts";
import { type Conversations, type Delivery, openConversations } from "../../src/conversations/mod.ts";
import { addressOf } from "../../src/http/mod.ts";
import type { PublicKeyAnswer } from "../../src/keys/mod.ts";
import { LIMITS, uuidv7 } from "../../src/protocol/mod.ts";
import { type Edge, startEdge } from "../support/edge_server.ts";

let edge: Edge;
let conversations: Conversations;
const delivered: Delivery[] = [];
const keysChanged: PublicKeyAnswer[] = [];
const faults: unknown[] = [];

beforeAll(async () => {
  edge = await startEdge({
    bodyRules: relayBodyRules,
    plugins: async ({ accounts, authenticate, db, clock }) => {
      conversations = await openConversations({
        db,
        clock,
        lanes: 2,
        masterKeys: [{ id: "k1", key: new Uint8Array(32).fill(7) }],
        secretKey: "a secret of thirty-two characters",
        existingAccounts: (ids) => accountExists(accounts, ids),
        onFault: (_, error) => void faults.push(error),
        onLate: () => {},
      });
      return [
        relayRoutes({
          accounts,
          keys: { db, clock },
          conversations,
          authenticate,
          addressOf,
          endSessions: (_, ids) => void edge.ended.push(...ids),
          deliver: (delivery) => void delivered.push(delivery),
          announceKey: async (key) => void keysChanged.push(key),
        }),
      ];
    },
  });
});
afterAll(async () => {
  await conversations[Symbol.asyncDispose]();
  await edge[Symbol.asyncDispose]();
  expect(faults).toEqual([]);
});

const newPem = () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
const base64 = (bytes: number) => randomBytes(bytes).toString("base64");
const PASSWORD = "SecurePass123";
const DAY_MS = 86_400_000;
let people = 0;

interface Person {
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly pem: string;
}

/** Registers somebody and logs them in. */
async function person(): Promise<Person> {
  const name = `relay-${++people}`;
  const pem = newPem();
  const registered = await edge.request("POST", "/register", { body: { name, password: PASSWORD, public_key: pem } });
  expect(registered.status).toBe(201);
  const login = await edge.request("POST", "/login", { body: { name, password: PASSWORD } });
  return { id: registered.json.id, name, pem, token: login.json.access_token };
}

const send = (from: Person, to: { id: string }, data: string, headers: Record<string, string> = {}) =>
  edge.request("POST", "/messages", {
    token: from.token,
    headers,
    body: { recipient_id: to.id, encrypted_data: data },
  });
const inbox = async (of: Person, query = "") =>
  (await edge.request("GET", `/messages${query}`, { token: of.token })).json;
const confirm = (by: Person, id: string) => edge.request("PUT", `/messages/${id}/delivered`, { token: by.token });

describe("POST /register", () => {
  test("creates the account with its key", async () => {
    const pem = newPem();
    const answer = await edge.request("POST", "/register", {
      body: { name: "john", password: PASSWORD, public_key: pem },
    });
    expect(answer.status).toBe(201);
    expect(answer.json as object).toMatchObject({ name: "john", public_key: pem, created_at: expect.any(String) });
    expect(answer.text).not.toContain(PASSWORD);
  });

  test("refuses a taken name with 409, in any case", async () => {
    const somebody = await person();
    for (const name of [somebody.name, somebody.name.toUpperCase()]) {
      const answer = await edge.request("POST", "/register", {
        body: { name, password: PASSWORD, public_key: newPem() },
      });
      expect([answer.status, answer.json.error.code]).toEqual([409, "username_taken"]);
    }
  });

  test("advises on a weak password and takes it", async () => {
    const answer = await edge.request("POST", "/register", {
      body: { name: "weak", password: "password1", public_key: newPem() },
    });
    expect(answer.status).toBe(201);
    expect(answer.json as object).toHaveProperty("password_advice");
  });

  test.each<[string, object, number, string]>([
    ["no key", { public_key: undefined }, 400, "bad_request"],
    ["no name", { name: undefined }, 400, "bad_request"],
    ["a short password", { password: "short" }, 400, "bad_request"],
    ["a key that is none", { public_key: "-----BEGIN" }, 422, "bad_public_key"],
    [
      "a private key",
      { public_key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----" },
      422,
      "private_key_refused",
    ],
    ["a name of other characters", { name: "a b" }, 400, "bad_request"],
  ])("refuses %s", async (_, fields, status, code) => {
    const body = { name: "refused", password: PASSWORD, public_key: newPem(), ...fields };
    const answer = await edge.request("POST", "/register", { body });
    expect([answer.status, answer.json.error.code]).toEqual([status, code]);
  });
});

describe("POST /login", () => {
  test("takes JSON and a form, and gives bearer tokens that work", async () => {
    const { name } = await person();
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const answers = [
      await edge.request("POST", "/login", { body: { name, password: PASSWORD } }),
      await edge.request("POST", "/login", { body: { username: name, password: PASSWORD } }),
      await edge.request("POST", "/login", {
        body: `grant_type=password&username=${name}&password=${PASSWORD}&scope=`,
        headers: form,
      }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      expect(answer.json as object).toMatchObject({ token_type: "bearer", refresh_token: expect.any(String) });
      expect(answer.json.expires_in).toBeGreaterThan(0);
      expect((await edge.request("GET", "/me", { token: answer.json.access_token })).json.name).toBe(name);
    }
  });

  test.each<[string, object | string, number, string]>([
    ["a wrong password", { name: "john", password: "WrongPass123" }, 401, "invalid_credentials"],
    ["an unknown name", { name: "nobody", password: PASSWORD }, 401, "invalid_credentials"],
    ["no name", { password: PASSWORD }, 400, "bad_request"],
    ["two names", { name: "john", username: "john", password: PASSWORD }, 400, "bad_request"],
    ["no JSON", "name=john", 400, "bad_json"],
  ])("refuses %s", async (_, body, status, code) => {
    const answer = await edge.request("POST", "/login", { body });
    expect([answer.status, answer.json.error.code]).toEqual([status, code]);
  });
});

test("GET /me gives the caller's id, name, key and time of registration", async () => {
  const { id, name, pem, token } = await person();
  const answer = await edge.request("GET", "/me", { token });
  expect(answer.json as object).toEqual({ id, name, public_key: pem, created_at: expect.any(String) } as object);
});

describe("POST /messages", () => {
  test("stores for the recipient, for seven days", async () => {
    const [ada, bob] = [await person(), await person()];
    const data = base64(100);
    const sent = await send(ada, bob, data);
    expect(sent.status).toBe(201);
    expect(Date.parse(sent.json.expires_at) - Date.parse(sent.json.timestamp)).toBe(7 * DAY_MS);
    const { messages, next } = await inbox(bob);
    expect(next).toBeNull();
    expect(messages).toEqual([
      { ...sent.json, sender_id: ada.id, encrypted_data: data, delivered: false } as (typeof messages)[number],
    ]);
    expect((await inbox(ada)).messages).toEqual([]);
  });

  test("hands what it stored to the spine, the new dm first", async () => {
    const [ada, bob] = [await person(), await person()];
    delivered.length = 0;
    await send(ada, bob, base64(10));
    await send(bob, ada, base64(10));
    expect(delivered.map(({ entry }) => [entry.kind, entry.seq])).toEqual([
      ["membership", 1],
      ["message", 2],
      ["message", 3],
    ]);
    for (const { recipients } of delivered) expect([...recipients].sort() as string[]).toEqual([ada.id, bob.id].sort());
  });

  test("takes 64 KiB decoded and refuses one byte more with 413", async () => {
    const [ada, bob] = [await person(), await person()];
    const most = base64(65_536);
    expect(most.length).toBe(LIMITS.contentChars);
    expect((await send(ada, bob, most)).status).toBe(201);
    expect((await inbox(bob)).messages[0]?.encrypted_data).toBe(most);
    for (const bytes of [65_537, 65_538, 100_000, 1_000_000]) {
      const answer = await send(ada, bob, base64(bytes));
      expect([bytes, answer.status, answer.json.error.code]).toEqual([bytes, 413, "payload_too_large"]);
    }
    expect((await inbox(bob)).messages).toHaveLength(1);
  });

  test.each(["", "not base64!", "QUJD=", "QUI", "QUJ=", "Q Q=", "QUJD\n", "_-8="])(
    "refuses %p as base64",
    async (data) => {
      const [ada, bob] = [await person(), await person()];
      const answer = await send(ada, bob, data);
      expect([answer.status, answer.json.error.code]).toEqual([400, "bad_request"]);
      expect((await inbox(bob)).messages).toEqual([]);
    },
  );

  test("refuses an unknown recipient, oneself and ids that are none", async () => {
    const ada = await person();
    expect((await send(ada, { id: uuidv7() }, "QUJD")).json.error.code).toBe("user_not_found");
    expect((await send(ada, ada, "QUJD")).json.error.code).toBe("bad_request");
    expect((await send(ada, { id: "1" }, "QUJD")).json.error.code).toBe("bad_request");
  });
});

describe("an Idempotency-Key", () => {
  const key = (value: string) => ({ "idempotency-key": value });

  test("gives the same answer for the same message, which is stored once", async () => {
    const [ada, bob] = [await person(), await person()];
    const data = base64(50);
    const answers = [await send(ada, bob, data, key("k-1")), await send(ada, bob, data, key("k-1"))];
    edge.clock.advance(DAY_MS - 60_000);
    const later = {
      ...ada,
      token: (await edge.request("POST", "/login", { body: { name: ada.name, password: PASSWORD } })).json.access_token,
    };
    answers.push(await send(later, bob, data, key("k-1")));
    edge.clock.advance(60_000 - DAY_MS);
    for (const answer of answers) {
      expect(answer.status).toBe(201);
      expect(answer.text).toBe(answers[0]?.text ?? "");
    }
    expect((await inbox(bob)).messages).toHaveLength(1);
  });

  test("used fifty times at once stores one message", async () => {
    const [ada, bob] = [await person(), await person()];
    const data = base64(50);
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(ada, bob, data, key("all-at-once"))));
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    expect((await inbox(bob)).messages).toHaveLength(1);
  });

  test("refuses another body or another recipient with 409, and stores nothing", async () => {
    const [ada, bob, eve] = [await person(), await person(), await person()];
    const data = base64(50);
    await send(ada, bob, data, key("k-2"));
    for (const answer of [await send(ada, bob, base64(50), key("k-2")), await send(ada, eve, data, key("k-2"))]) {
      expect([answer.status, answer.json.error.code]).toEqual([409, "idempotency_conflict"]);
    }
    expect((await inbox(bob)).messages).toHaveLength(1);
    expect((await inbox(eve)).messages).toEqual([]);
  });

  test("of another sender is another key", async () => {
    const [ada, bob, eve] = [await person(), await person(), await person()];
    const [first, second] = [await send(ada, eve, "QUJD", key("k-3")), await send(bob, eve, "QUJD", key("k-3"))];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect((await inbox(eve)).messages).toHaveLength(2);
  });

  test("sends under the id that was written down, where the server stopped before sending", async () => {
    const [ada, bob] = [await person(), await person()];
    const data = base64(50);
    const sent = await send(ada, bob, data, key("k-4"));
    // As a crash leaves it: the key is written down, and the message is not there.
    await edge.db.query("update relay_requests set message = $2 where sender = $1", [ada.id, uuidv7()]);
    const [row] = await edge.db.query<{ message: string }>("select message from relay_requests where sender = $1", [
      ada.id,
    ]);
    const again = await send(ada, bob, data, key("k-4"));
    expect(again.json.id).toBe(row?.message ?? "");
    expect(again.json.id).not.toBe(sent.json.id);
  });

  test("is new again after 24 hours, and old ones go", async () => {
    const [ada, bob] = [await person(), await person()];
    const first = await send(ada, bob, "QUJD", key("k-5"));
    await send(ada, bob, "QUJD", key("k-6"));
    await edge.db.query(
      "update relay_requests set created_at = created_at - interval '24 hours 1 second' where sender = $1",
      [ada.id],
    );
    const second = await send(ada, bob, "QUJEREQ=", key("k-5"));
    expect(second.status).toBe(201);
    expect(second.json.id).not.toBe(first.json.id);
    expect(await edge.db.query("select 1 from relay_requests where sender = $1", [ada.id])).toHaveLength(1);
  });

  test.each(["with space", "x".repeat(256), "é"])("%.20p is refused", async (value) => {
    const [ada, bob] = [await person(), await person()];
    expect((await send(ada, bob, "QUJD", key(value))).status).toBe(400);
  });
});

describe("GET /messages", () => {
  test("lists what was not delivered, oldest first, over all senders, page by page", async () => {
    const [ada, bob, eve] = [await person(), await person(), await person()];
    const sent: string[] = [];
    for (let i = 0; i < 7; i++) sent.push((await send(i % 2 === 0 ? ada : bob, eve, base64(9))).json.id);
    const listed: string[] = [];
    let query = "?limit=3";
    for (let pages = 0; pages < 3; pages++) {
      const page = await inbox(eve, query);
      listed.push(...page.messages.map((message) => message.id));
      expect(page.messages.length).toBeLessThanOrEqual(3);
      if (page.next === null) break;
      query = `?limit=3&cursor=${page.next}`;
    }
    expect(listed).toEqual(sent);
  });

  test.each(["limit=0", "limit=x", `limit=${LIMITS.pageEvents + 1}`, "limit=-1", "cursor=x", "cursor=1_2"])(
    "refuses ?%s",
    async (query) => {
      const answer = await edge.request("GET", `/messages?${query}`, { token: (await person()).token });
      expect([answer.status, answer.json.error.code]).toEqual([400, "bad_request"]);
    },
  );

  test("no longer lists what has expired", async () => {
    const [ada, bob] = [await person(), await person()];
    const sent = await send(ada, bob, "QUJD");
    await edge.db.query("update events set expires_at = now() - interval '1 second' where id = $1", [sent.json.id]);
    expect((await inbox(bob)).messages).toEqual([]);
  });
});

describe("PUT /messages/{id}/delivered", () => {
  test("confirms in any order: confirming the third leaves the first and the second listed", async () => {
    const [ada, bob] = [await person(), await person()];
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push((await send(ada, bob, base64(9))).json.id);
    const listed = async () => (await inbox(bob)).messages.map((message) => message.id);
    const [first = "", second = "", third = ""] = ids;
    const answer = await confirm(bob, third);
    expect([answer.status, answer.json as object]).toEqual([200, { id: third, delivered: true }]);
    expect(await listed()).toEqual([first, second]);
    await confirm(bob, first);
    expect(await listed()).toEqual([second]);
    await confirm(bob, second);
    expect(await listed()).toEqual([]);
    const next = (await send(ada, bob, base64(9))).json.id;
    expect(await listed()).toEqual([next]);
  });

  test("is idempotent, also thirty times at once, and per account: any of its devices may", async () => {
    const [ada, bob] = [await person(), await person()];
    const { id } = (await send(ada, bob, "QUJD")).json;
    const other = {
      ...bob,
      token: (await edge.request("POST", "/login", { body: { name: bob.name, password: PASSWORD } })).json.access_token,
    };
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => confirm(i % 2 === 0 ? bob : other, id)));
    expect(new Set(answers.map((answer) => `${answer.status} ${answer.text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(200);
    expect((await inbox(other)).messages).toEqual([]);
  });

  test("is for the recipient only: others, the sender too, see 404", async () => {
    const [ada, bob, eve] = [await person(), await person(), await person()];
    const { id } = (await send(ada, bob, "QUJD")).json;
    for (const answer of [
      await confirm(ada, id),
      await confirm(eve, id),
      await confirm(bob, uuidv7()),
      await confirm(bob, "1"),
    ]) {
      expect([answer.status, answer.json.error.code]).toEqual([404, "not_found"]);
    }
    expect((await inbox(bob)).messages).toHaveLength(1);
  });
});

describe("keys", () => {
  test("GET /public-key/{user_id} gives PEM and fingerprint", async () => {
    const [ada, bob] = [await person(), await person()];
    const answer = await edge.request("GET", `/public-key/${bob.id}`, { token: ada.token });
    expect(answer.json.public_key).toBe(bob.pem);
    expect(answer.json.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    for (const id of [uuidv7(), "1"]) {
      expect((await edge.request("GET", `/public-key/${id}`, { token: ada.token })).status).toBe(404);
    }
  });

  test("PUT /update-key replaces the key, tells of it, and refuses an earlier one", async () => {
    const ada = await person();
    const update = (pem: string) => edge.request("PUT", "/update-key", { token: ada.token, body: { public_key: pem } });
    const next = newPem();
    keysChanged.length = 0;
    const answer = await update(next);
    expect([answer.status, answer.json.changed, answer.json.public_key]).toEqual([200, true, next]);
    const again = await update(next);
    expect([again.status, again.json.changed]).toEqual([200, false]);
    const earlier = await update(ada.pem);
    expect([earlier.status, earlier.json.error.code]).toEqual([409, "key_reused"]);
    // Twice: a repeat completes what a first attempt may have left out, and its notices are the same events.
    expect(keysChanged.map((key) => key.public_key)).toEqual([next, next]);
    expect((await edge.request("GET", "/me", { token: ada.token })).json.public_key).toBe(next);
  });
});

describe("every route but the first two", () => {
  test.each([
    ["GET", "/me", undefined],
    ["POST", "/messages", { recipient_id: uuidv7(), encrypted_data: "QUJD" }],
    ["GET", "/messages", undefined],
    ["PUT", `/messages/${uuidv7()}/delivered`, undefined],
    ["GET", `/public-key/${uuidv7()}`, undefined],
    ["PUT", "/update-key", { public_key: "x" }],
  ])("%s %s asks who calls", async (method, path, body) => {
    for (const token of ["", "x", "a.b.c"]) {
      const headers: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
      const answer = await edge.request(method, path, { headers, ...(body === undefined ? {} : { body }) });
      expect([token, answer.status, answer.json.error.code]).toEqual([token, 401, "unauthorized"]);
    }
  });

  test("knows its methods", async () => {
    const answer = await edge.request("DELETE", "/messages");
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
  });
});
