/** Groups over two nodes: names, roles, retention, and the races between those who change them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, newMessageId } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame } from "../support/peer.ts";
import { createAccounts } from "./event_log_support.ts";

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ bus });
  nodes = [one, await one.another({ bus })];
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

const path = (id: string, rest = "") => `/api/conversations/${id}${rest}`;
const update = (who: Person, id: string, body: object) => who.request("PUT", path(id), body);
const setRole = (who: Person, id: string, whom: Person, role: string, more: object = {}) =>
  who.request("PUT", path(id, `/participants/${whom.id}`), { role, ...more });
const codeOf = ({ status, json }: HttpAnswer) => [status, json?.error?.code];
const logOf = async (who: Person, id: string): Promise<Frame[]> =>
  (await who.request("GET", path(id, "/messages?after_seq=0&limit=100"))).json.messages;

/** An owner at one node, an admin and a member at the other. */
async function group(more: object = {}) {
  const [ann, ben, cem] = await Promise.all([nodes[0].person(), nodes[1].person(), nodes[1].person()]);
  const id = await ann.group([ben, cem], more);
  expect((await setRole(ann, id, ben, "admin")).status).toBe(200);
  return { ann, ben, cem, id };
}

async function rolesOf(who: Person, id: ConversationId): Promise<Record<string, string>> {
  const { participants } = (await who.request("GET", path(id, "/participants"))).json;
  return Object.fromEntries(participants.map((one: Frame) => [one.user_id, one.role]));
}

describe("a change of a group", () => {
  test("is an entry of the log: pushed at the other node, on pages, and for a device that was away [SET-1]", async () => {
    const { ann, ben, cem, id } = await group();
    const away = await ben.signIn();
    using before = await away.live();
    before.acknowledge(id, 2);
    await before.settled();
    await before.close();
    using live = await cem.live();
    const renamed = await update(ben, id, { name: "  The ferry  " });
    expect([renamed.status, renamed.json.name]).toEqual([200, "The ferry"]);
    expect((await update(ann, id, { retention_seconds: 3_600 })).json.retention_seconds).toBe(3_600);
    await setRole(ann, id, cem, "admin");
    const told = [
      { seq: 2, sender_id: ann.id, user_id: ben.id, role: "admin" },
      { seq: 3, sender_id: ben.id, name: "The ferry" },
      { seq: 4, sender_id: ann.id, settings: { retention_seconds: 3_600 } },
      { seq: 5, sender_id: ann.id, user_id: cem.id, role: "admin" },
    ];
    const strip = ({ conversation_id, id: _, created_at: __, ...rest }: Frame) => {
      expect(conversation_id).toBe(id);
      return rest;
    };
    const expected = told.map((one) => ({ type: "change", ...one }));
    const changesOf = (frames: readonly Frame[]) => frames.filter(({ type }) => type === "change").map(strip);
    await live.until((frames) => changesOf(frames).some(({ seq }) => seq === 5));
    expect(changesOf(live.frames).slice(-3)).toEqual(expected.slice(1));
    using back = await away.live();
    expect(changesOf(back.frames)).toEqual(expected.slice(1));
    expect(changesOf(await logOf(cem, id))).toEqual(expected);
    const shown = (await cem.request("GET", path(id))).json;
    expect(shown).toMatchObject({ name: "The ferry", role: "admin", retention_seconds: 3_600, unread_count: 0 });
  });

  test("is made by owners and admins, roles by the owner, in a dm by nobody", async () => {
    const { ann, ben, cem, id } = await group();
    expect(codeOf(await update(cem, id, { name: "Mine" }))).toEqual([403, "forbidden"]);
    for (const who of [ben, cem]) expect(codeOf(await setRole(who, id, cem, "admin"))).toEqual([403, "forbidden"]);
    // Who owns it hands it over, and does not just step down.
    expect(codeOf(await setRole(ann, id, ann, "member"))).toEqual([403, "forbidden"]);
    const stranger = await nodes[0].person();
    expect(codeOf(await update(stranger, id, { name: "Mine" }))).toEqual([404, "conversation_not_found"]);
    expect(codeOf(await setRole(ann, id, stranger, "admin"))).toEqual([404, "user_not_found"]);
    const dm = await ann.dm(ben);
    expect(codeOf(await update(ann, dm, { name: "Us" }))).toEqual([403, "forbidden"]);
    expect(codeOf(await setRole(ann, dm, ben, "owner"))).toEqual([403, "forbidden"]);
    for (const body of [
      {},
      { name: "" },
      { name: null },
      { name: "a\u202eb" },
      { retention_seconds: 0 },
      { id: "x" },
    ]) {
      expect(codeOf(await update(ann, id, body))).toEqual([400, "bad_request"]);
    }
    expect(codeOf(await setRole(ann, id, ben, "king"))).toEqual([400, "bad_request"]);
    expect(await logOf(ann, id)).toHaveLength(2);
  });

  test("that changes nothing stores nothing; a retry is known by its id, another change under it is refused", async () => {
    const { ann, ben, id } = await group();
    expect((await update(ann, id, { name: "A group" })).status).toBe(200);
    expect((await setRole(ann, id, ben, "admin")).status).toBe(200);
    expect((await update(ann, id, { retention_seconds: null })).status).toBe(200);
    expect(await logOf(ann, id)).toHaveLength(2);
    const event = newMessageId();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => update(ann, id, { id: event, name: "Once", retention_seconds: 60 })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200));
    await update(ann, id, { name: "Twice" });
    // The answer shows what is there now; nothing goes back.
    expect((await update(ann, id, { id: event, name: "Once", retention_seconds: 60 })).json.name).toBe("Twice");
    expect(codeOf(await update(ann, id, { id: event, name: "Else" }))).toEqual([409, "conflict"]);
    expect(codeOf(await update(ben, id, { id: event, name: "Once", retention_seconds: 60 }))).toEqual([
      409,
      "conflict",
    ]);
    const old = newMessageId(Date.now() - 25 * 3_600_000);
    expect(codeOf(await update(ann, id, { id: old, name: "Late" }))).toEqual([422, "id_out_of_window"]);
    expect((await logOf(ann, id)).map(({ name }) => name)).toEqual([undefined, undefined, "Once", "Twice"]);
  });
});

describe("ownership", () => {
  test("is handed over once, however many are named at once, and the giver is an admin then", async () => {
    const { ann, ben, cem, id } = await group();
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, i) => setRole(ann, id, i % 2 === 0 ? ben : cem, "owner")),
    );
    const won = outcomes.filter(({ status }) => status === 200);
    expect(new Set(won.map(({ json }) => json.user_id)).size).toBe(1);
    for (const lost of outcomes.filter(({ status }) => status !== 200))
      expect(codeOf(lost)).toEqual([403, "forbidden"]);
    const roles = await rolesOf(ann, id);
    expect(roles[ann.id]).toBe("admin");
    expect(Object.values(roles).filter((role) => role === "owner")).toHaveLength(1);
    expect((await logOf(ann, id)).filter(({ role }) => role === "owner")).toHaveLength(1);
    const owner = roles[ben.id] === "owner" ? ben : cem;
    expect((await setRole(owner, id, ann, "member")).json).toMatchObject({ user_id: ann.id, role: "member" });
  });

  test("is there exactly once, whoever hands over, leaves and removes at the same time", async () => {
    for (let round = 0; round < 5; round++) {
      const { ann, ben, cem, id } = await group();
      await Promise.all([
        setRole(ann, id, ben, "owner"),
        setRole(ann, id, cem, "owner"),
        ann.request("DELETE", path(id, `/participants/${ben.id}`)),
        ben.request("DELETE", path(id, `/participants/${ben.id}`)),
        ...(round % 2 === 0 ? [ann.request("DELETE", path(id, `/participants/${ann.id}`))] : []),
      ]);
      const roles = Object.values(await rolesOf(cem, id));
      expect(roles.filter((role) => role === "owner")).toHaveLength(1);
    }
  });
});

describe("a rename against a removal", () => {
  test("is in the log before the removal, or not at all", async () => {
    for (let round = 0; round < 5; round++) {
      const { ann, ben, id } = await group();
      const renames = Array.from({ length: 10 }, (_, i) => update(ben, id, { name: `Name ${i}` }));
      const removal = ann.request("DELETE", path(id, `/participants/${ben.id}`));
      const answers = await Promise.all(renames);
      expect((await removal).status).toBe(204);
      const log = await logOf(ann, id);
      const removed = log.find(({ change }) => change === "removed").seq;
      const done = log.filter(({ sender_id, name }) => sender_id === ben.id && name !== undefined);
      for (const { seq } of done) expect(seq).toBeLessThan(removed);
      // One that is stored may find its sender gone before it can show the conversation.
      for (const answer of answers)
        if (answer.status !== 200) expect(answer.json.error.code).toBe("conversation_not_found");
      const told = answers.filter(({ status }) => status === 200).length;
      expect(done.length).toBeGreaterThanOrEqual(told);
      const shown = (await ann.request("GET", path(id))).json.name;
      expect(shown).toBe(done.at(-1)?.name ?? "A group");
      expect(codeOf(await update(ben, id, { name: "After" }))).toEqual([404, "conversation_not_found"]);
    }
  });
});

describe("retention", () => {
  test("that is turned off leaves messages of before to be changed, reacted to and deleted", async () => {
    const { ann, id } = await group({ encryption: "server", retention_seconds: 3_600 });
    const say = async (content: string) =>
      (await ann.request("POST", `/api/conversations/${id}/messages`, { content })).json.id;
    const [first, second] = [await say("first"), await say("second")];
    await ann.request("POST", `/api/messages/${first}/reactions`, { emoji: "👍" });
    expect((await update(ann, id, { retention_seconds: null })).status).toBe(200);
    expect((await ann.request("POST", `/api/messages/${second}/reactions`, { emoji: "👍" })).status).toBe(201);
    expect((await ann.request("DELETE", `/api/messages/${first}/reactions/${encodeURIComponent("👍")}`)).status).toBe(
      204,
    );
    expect((await ann.request("PUT", `/api/messages/${first}`, { content: "edited" })).status).toBe(200);
    for (const message of [first, second])
      expect((await ann.request("DELETE", `/api/messages/${message}`)).status).toBe(204);
    const left = await nodes[0].db.query(
      "select 1 from events where conversation = $1 and kind in (1, 4, 6) and body is not null",
      [id],
    );
    expect(left).toEqual([]);
  });

  const livesFor = (entry: Frame) =>
    entry.expires_at === undefined ? null : (Date.parse(entry.expires_at) - Date.parse(entry.created_at)) / 1_000;
  const say = async (who: Person, id: string, more: object = {}): Promise<number | null> =>
    livesFor((await who.request("POST", path(id, "/messages"), { encrypted_content: "eA==", ...more })).json);

  for (const [name, first] of [
    ["of a group that kept its messages", null],
    ["of a group that had one", 7_200],
  ] as const) {
    test(`${name} is for what comes after it, at both nodes`, async () => {
      const { ann, cem, id } = await group(first === null ? {} : { retention_seconds: first });
      expect([await say(ann, id), await say(cem, id)]).toEqual([first, first]);
      await update(ann, id, { retention_seconds: 600 });
      expect([await say(ann, id), await say(cem, id)]).toEqual([600, 600]);
      expect(await say(cem, id, { expires_in: 60 })).toBe(60);
      expect(await say(cem, id, { expires_in: 6_000 })).toBe(600);
      expect((await update(ann, id, { retention_seconds: null })).json.retention_seconds).toBeNull();
      expect([await say(ann, id), await say(cem, id)]).toEqual([null, null]);
      // Kept in between: no partition with a hole in it is left behind.
      await update(ann, id, { retention_seconds: 86_400 });
      expect(await say(cem, id)).toBe(86_400);
      const kept = await nodes[0].db.query<{ kept: boolean }>(
        "select kept from events where conversation = $1 order by seq",
        [id],
      );
      const from = kept.findIndex((row) => row.kept);
      expect(kept.slice(from).every((row) => row.kept)).toBe(true);
      expect((await logOf(cem, id)).map(({ seq }) => seq)).toEqual(kept.map((_, i) => i + 1));
    });
  }
});

describe("a thousand members", () => {
  test("fit, and one of many who are added for the last place at once; all of them are listed", async () => {
    const ann = await nodes[0].person();
    const others = await createAccounts(nodes[0].db, 1_010);
    const ask = (count: number) =>
      ann.request("POST", "/api/conversations", {
        ...{ conversation_type: "group", name: "Large", participant_ids: others.slice(0, count) },
      });
    // The body may name a thousand; with its maker they are one too many.
    expect(codeOf(await ask(1_000))).toEqual([422, "too_many_participants"]);
    const made = await ask(998);
    expect([made.status, made.json.participant_count, made.json.participant_ids.length]).toEqual([201, 999, 999]);
    const id = made.json.id;
    const late = others.slice(998);
    const added = await Promise.all(
      late.map((user_id) => ann.at(nodes[1].url).request("POST", path(id, "/participants"), { user_id })),
    );
    expect(added.filter(({ status }) => status === 201)).toHaveLength(1);
    for (const one of added.filter(({ status }) => status !== 201))
      expect(["too_many_participants", "busy"]).toContain(one.json.error.code);
    expect((await ann.request("GET", path(id))).json.participant_count).toBe(1_000);
    // Lists name few of them.
    const [listed] = (await ann.request("GET", "/api/conversations")).json.conversations;
    expect([listed.participant_count, listed.participant_ids.length]).toEqual([1_000, 20]);

    const seen: string[] = [];
    let next: string | null = "";
    while (next !== null) {
      const page: Frame = (
        await ann.request("GET", path(id, `/participants?limit=150${next === "" ? "" : `&cursor=${next}`}`))
      ).json;
      seen.push(...page.participants.map((one: Frame) => one.user_id));
      next = page.next;
    }
    expect([seen.length, new Set(seen).size]).toEqual([1_000, 1_000]);
    const gone = others[0] ?? "";
    expect((await ann.request("DELETE", path(id, `/participants/${gone}`))).status).toBe(204);
    const again = await ann.request("POST", path(id, "/participants"), {
      user_id: late.find((one) => !seen.includes(one)),
    });
    expect([again.status, again.json.participant_count]).toEqual([201, 1_000]);
  }, 60_000);
});
