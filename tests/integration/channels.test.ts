/** Channels over real HTTP and sockets: making, finding, joining, reading, posting, leaving. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, LIMITS, newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { placed, STARTING_MS, storedLog } from "../spec/support.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import { type Frame, Peer } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";

let server: TestApp;
beforeAll(async () => {
  server = await startApp({ departures: { everyMs: 50, settleMs: 0 } });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

const newSlug = () => `c-${crypto.randomUUID().slice(0, 18)}`;

async function make(owner: Person, more: object = {}): Promise<{ id: ConversationId; slug: string }> {
  const slug = newSlug();
  const body = { conversation_type: "channel", name: "A channel", channel: slug, public: true, ...more };
  const answer = await owner.request("POST", "/api/conversations", body);
  expect(answer.status).toBe(201);
  return { id: answer.json.id, slug };
}

const join = (person: Person, id: ConversationId) => person.request("POST", `/api/conversations/${id}/join`);
const leave = (person: Person, id: ConversationId) =>
  person.request("DELETE", `/api/conversations/${id}/participants/${person.id}`);
const post = (person: Person, id: ConversationId, content: string) =>
  person.request("POST", `/api/conversations/${id}/messages`, { content });
const page = (person: Person, id: ConversationId, query = "") =>
  person.request("GET", `/api/conversations/${id}/messages${query}`);
const texts = (answer: HttpAnswer): string[] => answer.json.messages.flatMap((entry: Frame) => entry.content ?? []);
const said = (peer: Peer, id: ConversationId): string[] => peer.entries(id).flatMap((entry) => entry.content ?? []);

/** All that an answer says, but for which request it was. */
function bytesOf(answer: HttpAnswer): string {
  return `${answer.status} ${JSON.stringify(answer.json).replaceAll(answer.json.error.requestId, "")}`;
}

/** Accounts that nobody signs in to; members of a channel, in the database alone. */
async function crowd(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => uuidv7());
  await server.db.query(
    `insert into accounts (id, username, username_key, created_at, updated_at, password_hash)
     select id, 'crowd-' || id, 'crowd-' || id, now(), now(), 'none' from unnest($1::uuid[]) id`,
    [ids],
  );
  return ids;
}

async function crowdIn(id: ConversationId, count: number): Promise<void> {
  await server.db.query(
    `insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role, can_send)
     select $1, account, 1, 0, 0, 0, now(), 3, false from unnest($2::uuid[]) account`,
    [id, await crowd(count)],
  );
  await server.db.query("update channels set members = members + $2 where conversation = $1", [id, count]);
  await server.db.query("update conversations set members_version = members_version + 1 where id = $1", [id]);
}

describe("making a channel", () => {
  test("gives a private one with shared history where its admins post, unless it is told otherwise", async () => {
    const ann = await server.person();
    const { id, slug } = await make(ann, { public: false });
    const { json } = await ann.request("GET", `/api/conversations/${id}`);
    expect(json).toMatchObject({ conversation_type: "channel", encryption: "server", channel: slug, public: false });
    expect(json).toMatchObject({ posting: "admins", history: "shared", participant_count: 1 });
    const plain = await ann.request("POST", "/api/conversations", { conversation_type: "channel", name: "Plain" });
    expect(plain.json).toMatchObject({ channel: null, public: false, encryption: "server" });
  });

  test("refuses an address that another has, what is no address, and what a public channel cannot be", async () => {
    const ann = await server.person();
    const { slug } = await make(ann);
    const attempt = async (more: object) => {
      const body = { conversation_type: "channel", name: "Another", channel: newSlug(), ...more };
      const { status, json } = await ann.request("POST", "/api/conversations", body);
      return `${status} ${json.error?.code} ${Object.keys(json.error?.details?.fields ?? {})}`;
    };
    expect(await attempt({ channel: slug })).toBe("409 channel_taken ");
    for (const channel of ["ab", "Capital", "under_score", "a b", "ä-ä-ä", "x".repeat(51)])
      expect(await attempt({ channel })).toBe("400 bad_request channel");
    expect(await attempt({ public: true, channel: undefined })).toBe("400 bad_request channel");
    expect(await attempt({ public: true, history: "joined" })).toBe("400 bad_request history");
    expect(await attempt({ public: true, encryption: "opaque" })).toBe("400 bad_request encryption");
    expect(await attempt({ name: undefined })).toBe("400 bad_request name");
    expect(await attempt({ conversation_type: "group", channel: undefined, posting: "admins" })).toBe(
      "400 bad_request conversation_type",
    );
  });

  test("of a hundred who want the same address at once one gets it", async () => {
    const ann = await server.person();
    const body = { conversation_type: "channel", name: "Race", channel: newSlug(), public: true };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => ann.request("POST", "/api/conversations", body)),
    );
    const outcomes = answers.map(({ status, json }) => (status === 201 ? "made" : json.error.code));
    expect(outcomes.filter((outcome) => outcome === "made")).toHaveLength(1);
    expect(outcomes.filter((outcome) => !["made", "channel_taken", "unavailable"].includes(outcome))).toEqual([]);
    // Nothing is left of the others.
    const { json } = await ann.request("GET", "/api/conversations");
    expect(json.conversations).toHaveLength(1);
  });
});

describe("finding a channel", () => {
  test("lists public ones by the beginning of their address, a page at a time, and no private one", async () => {
    const ann = await server.person();
    const beginning = `list-${crypto.randomUUID().slice(0, 8)}`;
    for (const end of ["c", "a", "b"]) await make(ann, { channel: `${beginning}-${end}` });
    await make(ann, { channel: `${beginning}-d`, public: false });
    const ben = await server.person();
    const first = await ben.request("GET", `/api/channels?q=${beginning}&limit=2`);
    expect(first.json.channels.map(({ channel }: Frame) => channel)).toEqual([`${beginning}-a`, `${beginning}-b`]);
    const second = await ben.request("GET", `/api/channels?q=${beginning}&limit=2&cursor=${first.json.next}`);
    expect(second.json.channels.map(({ channel }: Frame) => channel)).toEqual([`${beginning}-c`]);
    expect(second.json.next).toBeNull();
    const one = await ben.request("GET", `/api/channels/${beginning}-a`);
    expect(one.json).toMatchObject({ channel: `${beginning}-a`, name: "A channel", participant_count: 1 });
    expect((await ben.request("GET", "/api/channels?q=%25")).status).toBe(400);
  });

  test("shows a stranger of a private channel what an unknown one shows", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id, slug } = await make(ann, { public: false });
    await post(ann, id, "ours");
    const nothing = uuidv7() as ConversationId;
    const pairs: [HttpAnswer, HttpAnswer][] = [
      [await join(ben, id), await join(ben, nothing)],
      [await page(ben, id), await page(ben, nothing)],
      [await post(ben, id, "hello"), await post(ben, nothing, "hello")],
      [await ben.request("GET", `/api/channels/${slug}`), await ben.request("GET", "/api/channels/none-here")],
      [
        await ben.request("POST", `/api/channels/${slug}/join`),
        await ben.request("POST", "/api/channels/none-here/join"),
      ],
      [await ben.request("GET", `/api/conversations/${id}`), await ben.request("GET", `/api/conversations/${nothing}`)],
    ];
    for (const [real, unknown] of pairs) {
      expect(real.status).toBe(404);
      expect(bytesOf(real)).toBe(bytesOf(unknown));
    }
  });
});

describe("joining a channel", () => {
  test("is done by id or by address, and once", async () => {
    const [ann, ben, cem] = await Promise.all([server.person(), server.person(), server.person()]);
    const { id, slug } = await make(ann);
    const first = await join(ben, id);
    expect(first.status).toBe(201);
    expect(first.json.participant_ids.sort()).toEqual([ann.id, ben.id].sort());
    expect((await join(ben, id)).status).toBe(200);
    const byName = await cem.request("POST", `/api/channels/${slug}/join`);
    expect(byName.status).toBe(201);
    expect(byName.json).toMatchObject({ id, participant_count: 3 });
  });

  test("puts it into the list at once, also into one of what changed, and leaving takes it out", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann);
    await post(ann, id, "before");
    const { sync } = (await ben.request("GET", "/api/conversations")).json;
    await join(ben, id);
    const { conversations } = (await ben.request("GET", `/api/conversations?since=${sync}`)).json;
    expect(conversations).toHaveLength(1);
    expect(conversations[0]).toMatchObject({ id, role: "member", unread_count: 0, first_seq: 1, participant_count: 2 });
    await leave(ben, id);
    const after = (await ben.request("GET", `/api/conversations?since=${sync}`)).json;
    expect([after.conversations, after.left]).toEqual([[], [id]]);
  });

  test("of fifty joins of one person at once one is stored", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann);
    const answers = await Promise.all(Array.from({ length: 50 }, () => join(ben, id)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => ![200, 201, 503].includes(status))).toEqual([]);
    expect((await ann.request("GET", `/api/conversations/${id}`)).json.participant_count).toBe(2);
  });

  test("writes no entry, and nor does leaving [CHAN-1]", async () => {
    const [ann, ben, cem] = await Promise.all([server.person(), server.person(), server.person()]);
    const { id } = await make(ann);
    using a = await ann.live();
    using b = await ben.live();
    await join(ben, id);
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: cem.id });
    expect((await post(ann, id, "hello")).json.seq).toBe(2);
    expect((await b.next("message")).content).toBe("hello");
    expect((await leave(ben, id)).status).toBe(204);
    expect((await b.next("conversation_left")).left_seq).toBe(3);
    await ann.request("DELETE", `/api/conversations/${id}/participants/${cem.id}`);
    expect((await post(ann, id, "without you")).json.seq).toBe(3);
    await a.until(() => said(a, id).length === 2);
    await b.settled();
    expect(said(b, id)).toEqual(["hello"]);
    expect((await storedLog(server.db, id)).map(({ kind }) => kind)).toEqual([2, 1, 1]);
    expect((await ann.request("GET", `/api/conversations/${id}`)).json.participant_count).toBe(1);
  });

  test("again before anything was said loses nothing of what is said then [CHAN-1]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann);
    using b = await ben.live();
    await join(ben, id);
    await leave(ben, id);
    expect((await b.next("conversation_left")).left_seq).toBe(2);
    b.acknowledge(id, 2);
    // The place where it left is behind the device: what would be said there it would never be sent.
    for (let again = 0; again < 3; again++) {
      expect((await join(ben, id)).status).toBe(201);
      await leave(ben, id);
    }
    expect((await join(ben, id)).status).toBe(201);
    const { seq } = (await post(ann, id, "still here")).json;
    expect((await b.next("message")).seq).toBe(seq);
    await b.close();
    using later = await ben.connect();
    await later.next("caught_up");
    expect(said(later, id)).toContain("still here");
  });

  test("begins the catch-up there; what was before is in pages where it is shared [CHAN-2]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    for (const history of ["shared", "joined"]) {
      const { id } = await make(ann, { public: false, history });
      for (const text of ["one", "two", "three"]) await post(ann, id, text);
      await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: ben.id });
      await post(ann, id, "four");
      using b = await ben.connect();
      await b.next("caught_up");
      expect(said(b, id)).toEqual(["four"]);
      b.send({ type: "resume", cursors: { [id]: 0 } });
      await b.next("truncated");
      await b.next("caught_up");
      expect(new Set(said(b, id))).toEqual(new Set(["four"]));
      expect(texts(await page(ben, id))).toEqual(history === "shared" ? ["one", "two", "three", "four"] : ["four"]);
      const older = await page(ben, id, "?before_seq=4&limit=1");
      expect(texts(older)).toEqual(history === "shared" ? ["two"] : []);
      await leave(ben, id);
      expect((await page(ben, id)).status).toBe(404);
      await b.close();
    }
  });
});

describe("reading and posting", () => {
  test("everybody who is signed in reads a public channel, and only members are heard [CHAN-2, CHAN-3]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann, { posting: "everybody" });
    for (const text of ["one", "two", "three"]) await post(ann, id, text);
    const newest = await page(ben, id, "?limit=2");
    expect(texts(newest)).toEqual(["two", "three"]);
    expect(texts(await page(ben, id, `?limit=2&before_seq=${newest.json.previous}`))).toEqual(["one"]);
    expect((await post(ben, id, "me too")).json.error.code).toBe("conversation_not_found");
    expect((await ben.request("GET", `/api/conversations/${id}`)).status).toBe(404);
    await join(ben, id);
    expect((await post(ben, id, "me too")).status).toBe(201);
  });

  test("admins post, and who becomes one or is one no more is judged anew [CHAN-3]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann);
    await join(ben, id);
    using b = await ben.live();
    const content = { content: "hello", encrypted_content: undefined };
    expect(await b.say(id, "", content)).toMatchObject({ code: "forbidden", retryable: false });
    // Even what would not fit tells a member nothing else.
    expect((await ben.request("POST", `/api/conversations/${id}/messages`, { content: "x" })).status).toBe(403);
    const setRole = (role: string) => ann.request("PUT", `/api/conversations/${id}/participants/${ben.id}`, { role });
    expect((await setRole("admin")).status).toBe(200);
    expect(await b.say(id, "", content)).toMatchObject({ type: "receipt", seq: 3 });
    expect((await setRole("member")).status).toBe(200);
    expect(await b.say(id, "", content)).toMatchObject({ code: "forbidden" });
    await leave(ben, id);
    expect(await b.say(id, "", content)).toMatchObject({ code: "conversation_not_found" });
  });

  test("a large channel tells nobody who types or has read [CHAN-4]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann);
    await join(ben, id);
    using a = await ann.live();
    using b = await ben.live();
    a.send({ type: "typing_start", conversation_id: id });
    await b.next("typing_start");
    await crowdIn(id, LIMITS.contactGroup);
    await post(ann, id, "so many"); // the node learns of it
    await b.next("message");
    a.send({ type: "typing_stop", conversation_id: id });
    b.send({ type: "message_read", conversation_id: id, seq: 2 });
    await Promise.all([a.settled(), b.settled()]);
    await Promise.all([a.settled(), b.settled()]);
    expect(b.frames.filter(({ type }) => type === "typing_stop")).toEqual([]);
    expect(a.frames.filter(({ type }) => type === "message_read")).toEqual([]);
  });

  test("who comes late may react to what was before them, where it is shared [CHAN-2]", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    for (const history of ["shared", "joined"]) {
      const { id } = await make(ann, { public: false, history, posting: "everybody" });
      const { json: before } = await post(ann, id, "before");
      await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: ben.id });
      const { status } = await ben.request("POST", `/api/messages/${before.id}/reactions`, { emoji: "👍" });
      expect(status).toBe(history === "shared" ? 201 : 404);
      const { json } = await page(ben, id);
      const [message] = json.messages.filter(({ type }: Frame) => type === "message");
      expect(message?.reactions).toEqual(history === "shared" ? [{ user_id: ben.id, emoji: "👍" }] : undefined);
    }
  });

  test("an answer names at most a thousand of ten thousand members", async () => {
    const ann = await server.person();
    const { id } = await make(ann);
    await crowdIn(id, 10_000);
    const { json } = await ann.request("GET", `/api/conversations/${id}`);
    expect(json.participant_ids).toHaveLength(LIMITS.participants);
    expect(json.participant_count).toBe(10_001);
    using a = await ann.live();
    await a.say(id, "", { content: "to all", encrypted_content: undefined });
    expect(placed(a.frames, id)).toContain(2);
    // One row, whatever there are.
    expect(await storedLog(server.db, id)).toHaveLength(2);
  }, 60_000);
});

describe("announcements", () => {
  const announce = (person: Person, body: object) => person.request("POST", "/api/announcements", body);
  const promote = (person: Person, role: string) =>
    server.db.query("update accounts set role = $2 where id = $1", [person.id, role]);

  test("are said by administrators, for as long as they are some, and read by everybody", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const mine = { conversation_type: "channel", name: "Mine", channel: "announcements", public: true };
    expect((await ann.request("POST", "/api/conversations", mine)).json.error.code).toBe("channel_taken");
    expect((await announce(ann, { content: "I am nobody" })).json.error.code).toBe("forbidden");
    await promote(ann, "admin");
    const id = newMessageId();
    // Two at once, and again: the channel is made once, and what is said stands there once.
    const [one, other] = await Promise.all([
      announce(ann, { id, content: "Tea is ready" }),
      announce(ann, { content: "So is cake" }),
    ]);
    expect([one.status, other.status]).toEqual([201, 201]);
    expect((await announce(ann, { id, content: "Tea is ready" })).status).toBe(200);
    using reader = await Peer.open(`${server.url.replace("http", "ws")}/ws/public/announcements`);
    reader.send({ type: "subscribe", after_seq: 0 });
    const contents = (await reader.next("page")).announcements.map(({ content }: Frame) => content);
    expect(contents.sort()).toEqual(["So is cake", "Tea is ready"]);
    const joined = await ben.request("POST", "/api/channels/announcements/join");
    expect(joined.status).toBe(201);
    using b = await ben.live();
    await announce(ann, { content: "Last call" });
    expect((await b.next("message")).content).toBe("Last call");
    expect((await reader.next("announcement")).content).toBe("Last call");
    expect((await post(ben, joined.json.id, "me too")).json.error.code).toBe("forbidden");
    // Whoever is an administrator no more says nothing more, in no way.
    await promote(ann, "user");
    expect((await announce(ann, { content: "Still me" })).json.error.code).toBe("forbidden");
    expect((await post(ann, joined.json.id, "Still me")).json.error.code).toBe("conversation_not_found");
    const recorded = await server.db.query<{ actor: string }>("select actor from audit_log where action = 'announce'");
    expect(new Set(recorded.map(({ actor }) => actor))).toEqual(new Set([ann.id]));
    expect(recorded).toHaveLength(4);
  });
});

describe("leaving a channel", () => {
  test("its owner leaves it to an admin, and never to who only reads it", async () => {
    const [ann, ben, cem] = await Promise.all([server.person(), server.person(), server.person()]);
    const { id } = await make(ann);
    await join(ben, id);
    await join(cem, id);
    await ann.request("PUT", `/api/conversations/${id}/participants/${cem.id}`, { role: "admin" });
    await leave(ann, id);
    const roles = () =>
      server.db.query<{ account: string; role: number }>(
        "select account, role from members where conversation = $1 and left_seq is null order by role",
        [id],
      );
    expect(await roles()).toEqual([
      { account: cem.id, role: 1 },
      { account: ben.id, role: 3 },
    ]);
    expect((await post(cem, id, "mine now")).status).toBe(201);
    await leave(cem, id);
    expect(await roles()).toEqual([{ account: ben.id, role: 3 }]);
    expect((await post(ben, id, "mine?")).json.error.code).toBe("forbidden");
  });

  test("the last one leaves its address to others", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id, slug } = await make(ann);
    await post(ann, id, "before I go");
    await leave(ann, id);
    expect((await join(ben, id)).status).toBe(404);
    expect((await page(ben, id)).status).toBe(404);
    expect((await ben.request("GET", `/api/channels/${slug}`)).status).toBe(404);
    await make(ben, { channel: slug });
  });

  test("its owner ends it for everybody: it is found, read and joined no more", async () => {
    const [ann, ben, cem] = await Promise.all([server.person(), server.person(), server.person()]);
    const { id, slug } = await make(ann);
    await join(ben, id);
    await join(cem, id); // and nothing is said since
    await post(ann, id, "the end");
    using reader = await Peer.open(`${server.url.replace("http", "ws")}/ws/public/${slug}`);
    await reader.next("subscribed");
    expect((await ben.request("DELETE", `/api/conversations/${id}`)).json.error.code).toBe("use_leave");
    expect((await ann.request("DELETE", `/api/conversations/${id}`)).status).toBe(204);
    expect((await reader.ended()).code).toBe(4404);
    for (const answer of [await page(ben, id), await join(cem, id), await ben.request("GET", `/api/channels/${slug}`)])
      expect(answer.status).toBe(404);
    await make(ben, { channel: slug });
  });

  test("who may remove whom is as in a group", async () => {
    const [ann, ben, cem] = await Promise.all([server.person(), server.person(), server.person()]);
    const { id } = await make(ann);
    await join(ben, id);
    await join(cem, id);
    const remove = (by: Person, whom: Person) =>
      by.request("DELETE", `/api/conversations/${id}/participants/${whom.id}`);
    const add = (by: Person, whom: Person) =>
      by.request("POST", `/api/conversations/${id}/participants`, { user_id: whom.id });
    expect((await remove(ben, cem)).json.error.code).toBe("forbidden");
    expect((await add(ben, cem)).json.error.code).toBe("forbidden");
    expect((await add(ann, cem)).json.error.code).toBe("already_member");
    expect((await remove(ann, cem)).status).toBe(204);
    expect((await remove(ann, cem)).json.error.code).toBe("user_not_found");
    const nobody = { user_id: uuidv7() };
    expect((await ann.request("POST", `/api/conversations/${id}/participants`, nobody)).json.error.code).toBe(
      "user_not_found",
    );
  });

  test("an account that goes for good is in it no more, and what it said is gone", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const { id } = await make(ann, { posting: "everybody" });
    await join(ben, id);
    await post(ben, id, "words of ben");
    const password = "correct horse battery staple";
    expect((await ben.request("POST", "/api/auth/delete-account", { password })).status).toBe(202);
    await waitUntil("ben is gone", async () => {
      return (await server.db.query("select 1 from accounts where id = $1", [ben.id])).length === 0;
    });
    const { json } = await page(ann, id);
    expect(json.messages.map(({ type }: Frame) => type)).toEqual(["membership", "tombstone"]);
    expect((await ann.request("GET", `/api/conversations/${id}`)).json).toMatchObject({
      ...{ participant_count: 1, participant_ids: [ann.id] },
    });
  });
});
