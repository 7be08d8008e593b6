/** Profiles over HTTP: who sees what of whom, finding people, and the sealed private key. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";

let server: TestApp;
beforeAll(async () => {
  server = await startApp();
});
afterAll(() => server[Symbol.asyncDispose]());

const see = async (viewer: Person, of: Person) => (await viewer.request("GET", `/api/users/${of.id}`)).json;
const say = (who: Person, body: object) => who.request("PUT", `/api/users/${who.id}`, body);

describe("a profile", () => {
  test("shows e-mail, privacy and the sealed key to its owner alone", async () => {
    const username = `owner_${crypto.randomUUID().slice(0, 8)}`;
    const email = `${username}@example.org`;
    await request(server.url, "POST", "/api/auth/signup", {
      username,
      email,
      password: "correct horse battery staple",
    });
    const body = { username, password: "correct horse battery staple" };
    const token = (await request(server.url, "POST", "/api/auth/signin", body)).json.access_token;
    const me = (await request(server.url, "GET", "/api/auth/me", undefined, token)).json;
    const own = await request(server.url, "GET", `/api/users/${me.id}`, undefined, token);
    expect(own.json).toEqual({
      id: me.id,
      username,
      display_name: null,
      status: "offline",
      last_seen: null,
      public_key: null,
      email,
      private_key_encrypted: null,
      privacy: { last_seen: "contacts", findable: true, read_receipts: true },
      created_at: me.created_at,
      updated_at: me.updated_at,
    });
    const stranger = await server.person();
    const seen = (await stranger.request("GET", `/api/users/${me.id}`)).json;
    const { email: _, private_key_encrypted: __, privacy: ___, ...shown } = own.json;
    expect(seen).toEqual(shown);
  });

  test("is changed by its owner alone, with names in NFC and nothing that turns the writing around", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    expect((await ben.request("PUT", `/api/users/${ann.id}`, { status: "dnd" })).status).toBe(403);
    const changed = await say(ann, { display_name: "  Zoe\u0308 ", status: "dnd" });
    expect(changed.json).toMatchObject({ display_name: "Zo\u00eb", status: "dnd" });
    expect(Date.parse(changed.json.updated_at)).toBeGreaterThan(Date.parse(changed.json.created_at));
    expect((await say(ann, { display_name: null })).json).toMatchObject({ display_name: null, status: "dnd" });
    for (const name of ["a\u202eb", "a\nb", "", " ", "x".repeat(101), "a\u0000b"]) {
      expect([name, (await say(ann, { display_name: name })).status]).toEqual([name, 400]);
    }
    expect((await say(ann, { status: "asleep" })).status).toBe(400);
    expect((await say(ann, { email: "new@example.org" })).status).toBe(400);
    expect((await ann.request("GET", `/api/users/${crypto.randomUUID()}`)).json.error.code).toBe("user_not_found");
  });

  test("shows status and last day to whom its owner shows them, and never the moment", async () => {
    const [ann, friend, stranger] = await Promise.all([server.person(), server.person(), server.person()]);
    await friend.dm(ann);
    await say(ann, { status: "away" });
    await (await ann.live()).close();
    using _here = await ann.live(); // what somebody chose is shown while they are connected
    const today = /^\d{4}-\d\d-\d\d$/;
    await waitUntil("the day is noted", async () => (await see(ann, ann)).last_seen !== null);
    expect((await see(ann, ann)).last_seen).toMatch(today);
    const shown = async (viewer: Person) => {
      const { status, last_seen } = await see(viewer, ann);
      return { status, seen: last_seen !== null };
    };
    const [open, hidden] = [
      { status: "away", seen: true },
      { status: "offline", seen: false },
    ];
    expect([await shown(friend), await shown(stranger)]).toEqual([open, hidden]);
    await say(ann, { privacy: { last_seen: "everybody" } });
    expect([await shown(friend), await shown(stranger)]).toEqual([open, open]);
    await friend.request("POST", `/api/users/${ann.id}/block`);
    expect([await shown(friend), await shown(stranger)]).toEqual([hidden, open]);
    await friend.request("DELETE", `/api/users/${ann.id}/block`);
    await ann.request("POST", `/api/users/${friend.id}/block`);
    expect([await shown(friend), await shown(stranger)]).toEqual([hidden, open]);
    await say(ann, { privacy: { last_seen: "nobody" } });
    expect([await shown(friend), await shown(stranger)]).toEqual([hidden, hidden]);
    const kept = "select last_seen_on from profiles where account = $1";
    expect(await server.db.query(kept, [ann.id])).toEqual([{ last_seen_on: null }]);
    await (await ann.live()).close();
    const other = await server.person();
    await (await other.live()).close();
    await waitUntil("a later note is written", async () => (await see(other, other)).last_seen !== null);
    expect(await server.db.query(kept, [ann.id])).toEqual([{ last_seen_on: null }]);
  });

  test("counts members of a group as contacts up to a hundred", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    // Nobody of these signs in, so nobody's password need be hashed.
    const others = await server.db.query<{ id: string }>(
      `insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
       select gen_random_uuid(), 'crowd_' || n, 'crowd_' || n, '', now(), now() from generate_series(1, 99) n returning id`,
    );
    await say(ann, { status: "online" });
    const group = { conversation_type: "group", participant_ids: [ben.id, ...others.map(({ id }) => id)] };
    const { id } = (await ann.request("POST", "/api/conversations", group)).json;
    using _here = await ann.live();
    expect((await see(ben, ann)).status).toBe("offline");
    await ann.request("DELETE", `/api/conversations/${id}/participants/${others[0]?.id}`);
    expect((await see(ben, ann)).status).toBe("online");
  });
});

describe("finding people", () => {
  const find = async (who: Person, query: string) => (await who.request("GET", `/api/users?${query}`)).json;
  const names = (page: { users: { username: string }[] }) => page.users.map((user) => user.username);

  test("finds by the beginning of either name in any case, who lets themselves be found, once and page by page", async () => {
    const mark = `q${crypto.randomUUID().slice(0, 6)}`;
    const people = await Promise.all(["a", "b", "c", "d", "e"].map((end) => server.person(`${mark}_${end}`)));
    const [ann, ben, cem, dee] = people as [Person, Person, Person, Person];
    const hana = await server.person(`zz_${mark}`);
    await say(hana, { display_name: `${mark.toUpperCase()}_BB \u00c9lo\u00efse` });
    await say(ben, { display_name: `${mark} twice` });
    await say(cem, { privacy: { findable: false } });
    const all = await find(ann, `q=${mark.toUpperCase()}`);
    expect(names(all)).toEqual([`${mark}_a`, `${mark}_b`, hana.name, `${mark}_d`, `${mark}_e`]);
    expect(all.next).toBeNull();
    expect(all.users[0]).toEqual({
      id: ann.id,
      username: ann.name,
      display_name: null,
      status: "offline",
      last_seen: null,
      created_at: expect.any(String),
      updated_at: expect.any(String),
    });
    const paged: string[] = [];
    let cursor = "";
    for (let pages = 0; pages < 10; pages++) {
      const page = await find(ann, `q=${mark}&limit=2${cursor}`);
      paged.push(...names(page));
      if (page.next === null) break;
      cursor = `&cursor=${page.next}`;
    }
    expect(paged).toEqual(names(all));
    expect(names(await find(ann, `q=${mark}_bb%20%C3%A9lo%C3%AF`))).toEqual([hana.name]);
    await dee.request("POST", `/api/users/${ann.id}/block`);
    expect(names(await find(ann, `q=${mark}`))).toEqual(names(all));
  });

  test("takes nothing for a pattern, lists everybody for nothing, and refuses what is no page's next", async () => {
    const ann = await server.person();
    for (const query of ["%25", "_%25", "%5C", "%F4%8F%BF%BF", "no_such_beginning"]) {
      expect([query, names(await find(ann, `q=${query}`))]).toEqual([query, []]);
    }
    const listed = await find(ann, "limit=3");
    expect(listed.users).toHaveLength(3);
    expect(listed.next).toEqual(expect.any(String));
    for (const query of [
      "cursor=x",
      "cursor=AAAA",
      `cursor=${"A".repeat(801)}`,
      "limit=0",
      "limit=101",
      `q=${"x".repeat(101)}`,
    ]) {
      expect([query, (await ann.request("GET", `/api/users?${query}`)).status]).toEqual([query, 400]);
    }
    const nul = Buffer.from(`${ann.id}a\0b`).toString("base64url");
    expect((await ann.request("GET", `/api/users?cursor=${nul}`)).status).toBe(400);
  });
});

describe("the sealed private key", () => {
  const put = (who: Person, text: string, headers: Record<string, string>) =>
    fetch(`${server.url}/api/users/${who.id}/private-key`, {
      method: "PUT",
      headers: { authorization: `Bearer ${who.token}`, "content-type": "application/json", ...headers },
      body: JSON.stringify({ private_key_encrypted: text }),
    });
  const first = { "if-none-match": "*" };

  test("is kept as it came, and no change of it is lost", async () => {
    const ann = await server.person();
    const path = `/api/users/${ann.id}/private-key`;
    expect((await ann.request("GET", path)).status).toBe(404);
    expect((await put(ann, "sealed 0", {})).status).toBe(428);
    expect((await put(ann, "sealed 0", { "if-match": '"v1"' })).status).toBe(412);
    const made = await put(ann, "sealed 1", first);
    expect([made.status, made.headers.get("etag")]).toEqual([204, '"v1"']);
    expect((await put(ann, "sealed x", first)).status).toBe(412);
    const races = await Promise.all(
      Array.from({ length: 50 }, (_, i) => put(ann, `raced ${i}`, { "if-match": '"v1"' }).then((r) => [r.status, i])),
    );
    const won = races.filter(([status]) => status === 204);
    expect([won.length, races.filter(([status]) => status === 412).length]).toEqual([1, 49]);
    const read = await ann.request("GET", path);
    expect([read.headers.get("etag"), read.json.private_key_encrypted]).toEqual(['"v2"', `raced ${won[0]?.[1]}`]);
    expect((await see(ann, ann)).private_key_encrypted).toBe(`raced ${won[0]?.[1]}`);
    for (const match of ["*", 'W/"v2"', '"v2", "v3"', '"v02"', "v2", '"v99999999999999999999"']) {
      expect([match, (await put(ann, "sealed 3", { "if-match": match })).status]).toEqual([match, 412]);
    }
  });

  test("is bounded, and in nobody else's answers and in no log", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const canary = `canary-${crypto.randomUUID()}`;
    expect((await put(ann, "x".repeat(16_385), first)).status).toBe(400);
    expect((await put(ann, canary, first)).status).toBe(204);
    await ann.dm(ben);
    const path = `/api/users/${ann.id}`;
    const answers = await Promise.all([
      ben.request("GET", path),
      ben.request("GET", `${path}/private-key`),
      ben.request("GET", `/api/users?q=${ann.name}`),
      ben.request("GET", "/api/conversations"),
    ]);
    expect(answers[1]?.status).toBe(403);
    expect(JSON.stringify(answers)).not.toContain(canary);
    expect(server.logged()).not.toContain(canary);
  });
});
