/** Family A of the contracts ("relay"), row by row, against servers that were started with `npm start`. */
import { expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { ask, type Nodes, onOneNodeAndOnTwo } from "./servers.ts";

const PASSWORD = "violet-harbour-93-lantern";
const WEEK_MS = 7 * 86_400_000;
const newPem = () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();
const newName = () => `relay_${crypto.randomUUID().slice(0, 13)}`;
const base64 = (bytes: number) => randomBytes(bytes).toString("base64");

interface Person {
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly pem: string;
}

async function person({ one, other }: Nodes): Promise<Person> {
  const [name, pem] = [newName(), newPem()];
  const registered = await ask(one, "POST", "/register", { body: { name, password: PASSWORD, public_key: pem } });
  expect(registered.status).toBe(201);
  const login = await ask(other, "POST", "/login", { body: { name, password: PASSWORD } });
  expect(login.status).toBe(200);
  return { id: registered.json.id, name, pem, token: login.json.access_token };
}

const post = (url: string, from: Person, to: Person, data: string, headers: Record<string, string> = {}) =>
  ask(url, "POST", "/messages", { token: from.token, headers, body: { recipient_id: to.id, encrypted_data: data } });

const inbox = (url: string, { token }: Person, query = "") => ask(url, "GET", `/messages${query}`, { token });

onOneNodeAndOnTwo(
  "family A",
  (nodes) => {
    test("POST /register makes an account with its key; a taken name is 409", async () => {
      const name = newName();
      const body = { name, password: PASSWORD, public_key: newPem() };
      const first = await ask(nodes().one, "POST", "/register", { body });
      expect(first.status).toBe(201);
      expect(first.json).toMatchObject({ name });
      expect((await ask(nodes().other, "POST", "/register", { body: { ...body, public_key: newPem() } })).status).toBe(
        409,
      );
      for (const wrong of [
        {},
        { name, password: PASSWORD },
        { ...body, name: "" },
        { ...body, password: "short" },
        "{",
      ]) {
        const refused = await ask(nodes().one, "POST", "/register", { body: wrong });
        expect([refused.status, typeof refused.json.error.code]).toEqual([400, "string"]);
      }
      const badKey = await ask(nodes().one, "POST", "/register", {
        body: { ...body, name: newName(), public_key: "no PEM" },
      });
      expect([badKey.status, badKey.json.error.code]).toEqual([422, "bad_public_key"]);
    });

    test("POST /login takes JSON and form fields, and gives tokens that work on every node", async () => {
      const { name } = await person(nodes());
      const json = await ask(nodes().one, "POST", "/login", { body: { name, password: PASSWORD } });
      const form = await ask(nodes().other, "POST", "/login", {
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ username: name, password: PASSWORD }).toString(),
      });
      for (const { status, json: tokens } of [json, form]) {
        expect(status).toBe(200);
        expect(tokens).toMatchObject({ token_type: "bearer" });
        expect(tokens.access_token).toBeString();
        expect(tokens.refresh_token).toBeString();
        expect(tokens.expires_in).toBePositive();
        for (const url of Object.values(nodes())) {
          expect((await ask(url, "GET", "/me", { token: tokens.access_token })).json.name).toBe(name);
        }
      }
      const wrong = await ask(nodes().one, "POST", "/login", { body: { name, password: "another pass phrase 7" } });
      const unknown = await ask(nodes().one, "POST", "/login", { body: { name: newName(), password: PASSWORD } });
      expect([wrong.status, unknown.status]).toEqual([401, 401]);
      expect({ ...wrong.json.error, requestId: "" }).toEqual({ ...unknown.json.error, requestId: "" });
    });

    test("GET /me shows the caller; without a token it is 401", async () => {
      const ann = await person(nodes());
      const me = await ask(nodes().one, "GET", "/me", { token: ann.token });
      expect(me.json).toMatchObject({ id: ann.id, name: ann.name });
      expect(me.json.public_key.trim()).toBe(ann.pem.trim());
      expect(Number.isNaN(Date.parse(me.json.created_at))).toBe(false);
      expect((await ask(nodes().one, "GET", "/me")).status).toBe(401);
      expect((await ask(nodes().one, "GET", "/me", { token: "nonsense" })).status).toBe(401);
    });

    test("POST /messages stores for the recipient for seven days; GET /messages lists what was not confirmed, oldest first", async () => {
      const [ann, ben] = [await person(nodes()), await person(nodes())];
      const empty = await inbox(nodes().other, ben);
      expect(empty.json).toEqual({ messages: [], next: null });
      const data = [base64(10), base64(300), base64(64 * 1024)];
      for (const one of data) {
        const sent = await post(nodes().one, ann, ben, one);
        expect(sent.status).toBe(201);
        expect(Date.parse(sent.json.expires_at) - Date.parse(sent.json.timestamp)).toBe(WEEK_MS);
      }
      const { json } = await inbox(nodes().other, ben);
      expect(json.messages.map((message: { encrypted_data: string }) => message.encrypted_data)).toEqual(data);
      expect(json.messages[0]).toMatchObject({ sender_id: ann.id, recipient_id: ben.id, delivered: false });
      const first = await inbox(nodes().one, ben, "?limit=2");
      expect(first.json.messages).toHaveLength(2);
      const second = await inbox(nodes().other, ben, `?limit=2&cursor=${first.json.next}`);
      expect([second.json.messages.length, second.json.next]).toEqual([1, null]);
      expect((await inbox(nodes().one, ann)).json.messages).toEqual([]);
    });

    test("POST /messages refuses what is too large, no base64, for nobody, or without a token", async () => {
      const [ann, ben] = [await person(nodes()), await person(nodes())];
      expect((await post(nodes().one, ann, ben, base64(64 * 1024 + 1))).status).toBe(413);
      expect((await post(nodes().one, ann, ben, "not base64 at all!")).status).toBe(400);
      expect((await post(nodes().one, ann, { ...ben, id: crypto.randomUUID() }, base64(3))).status).toBe(404);
      expect((await post(nodes().one, { ...ann, token: "" }, ben, base64(3))).status).toBe(401);
      expect((await inbox(nodes().one, ben)).json.messages).toEqual([]);
    });

    test("Idempotency-Key: the same request twice, on any node, is one message; another body under it is 409", async () => {
      const [ann, ben] = [await person(nodes()), await person(nodes())];
      const [data, key] = [base64(40), { "idempotency-key": crypto.randomUUID() }];
      const first = await post(nodes().one, ann, ben, data, key);
      const again = await post(nodes().other, ann, ben, data, key);
      expect([first.status, again.json.id]).toEqual([201, first.json.id]);
      expect((await post(nodes().one, ann, ben, base64(40), key)).status).toBe(409);
      expect((await inbox(nodes().one, ben)).json.messages).toHaveLength(1);
    });

    test("PUT /messages/{id}/delivered confirms in any order, once and again; others see 404", async () => {
      const [ann, ben, cem] = [await person(nodes()), await person(nodes()), await person(nodes())];
      const ids: string[] = [];
      for (let i = 0; i < 3; i++) ids.push((await post(nodes().one, ann, ben, base64(20))).json.id);
      const confirm = (url: string, { token }: Person, id: string) =>
        ask(url, "PUT", `/messages/${id}/delivered`, { token });
      for (const stranger of [ann, cem]) expect((await confirm(nodes().one, stranger, ids[2] ?? "")).status).toBe(404);
      for (let i = 0; i < 2; i++) expect((await confirm(nodes().other, ben, ids[2] ?? "")).status).toBe(200);
      const left = async () =>
        (await inbox(nodes().one, ben)).json.messages.map((message: { id: string }) => message.id);
      expect(await left()).toEqual(ids.slice(0, 2));
      expect((await confirm(nodes().one, ben, ids[0] ?? "")).status).toBe(200);
      expect(await left()).toEqual(ids.slice(1, 2));
      expect((await confirm(nodes().one, ben, crypto.randomUUID())).status).toBeOneOf([400, 404]);
    });

    test("GET /public-key/{user_id} gives PEM and fingerprint; PUT /update-key replaces it, and takes no earlier one", async () => {
      const ann = await person(nodes());
      const read = async () => (await ask(nodes().other, "GET", `/public-key/${ann.id}`, { token: ann.token })).json;
      const before = await read();
      expect(before.public_key.trim()).toBe(ann.pem.trim());
      expect(before.fingerprint).toMatch(/^[0-9a-f]{64}$/);
      const pem = newPem();
      const update = (key: string) =>
        ask(nodes().one, "PUT", "/update-key", { token: ann.token, body: { public_key: key } });
      expect((await update(pem)).status).toBe(200);
      const after = await read();
      expect([after.public_key.trim(), after.fingerprint === before.fingerprint]).toEqual([pem.trim(), false]);
      expect((await update(pem)).status).toBe(200);
      expect((await update(ann.pem)).status).toBe(409);
      expect((await update("no key")).status).toBe(422);
      expect((await ask(nodes().one, "GET", `/public-key/${crypto.randomUUID()}`, { token: ann.token })).status).toBe(
        404,
      );
    });

    test("health, metrics, CORS for listed origins only", async () => {
      expect((await ask(nodes().one, "GET", "/health")).json).toMatchObject({ status: "ok", database: "up" });
      expect((await ask(nodes().one, "GET", "/metrics")).status).toBe(404); // for the operator's machine alone
      const preflight = async (origin: string) => {
        const headers = { origin, "access-control-request-method": "POST" };
        return (await ask(nodes().one, "OPTIONS", "/login", { headers })).headers.get("access-control-allow-origin");
      };
      expect(await preflight("https://app.example.org")).toBe("https://app.example.org");
      expect(await preflight("https://evil.example.org")).toBeNull();
    });
  },
  { CORS_ORIGINS: "https://app.example.org" },
);
