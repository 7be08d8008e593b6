/** `npm run admin` on a database that two nodes serve, which share nothing else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp } from "../../src/app.ts";
import { startEmbeddedPostgres } from "../../src/platform/embedded_postgres.ts";
import { uuidv7 } from "../../src/protocol/mod.ts";
import { STARTING_MS, socketUrl } from "../spec/support.ts";
import { adminJson, runAdmin } from "../support/admin.ts";
import { request, startApp, TEST_ENCRYPTION_KEYS, type TestApp, testConfig } from "../support/app.ts";
import { createEmptyDatabase } from "../support/postgres.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

/** What the promise gives sockets to close, and tokens to be refused. */
const CLOSE_MS = 2_000;

let folder: string;
let server: TestApp;
let other: TestApp;
let env: Readonly<Record<string, string>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sotto-admin-"));
  await chmod(folder, 0o711);
  server = await startApp({ slowPasswords: true }); // each with a bus of its own
  other = await server.another();
  env = { DATA_DIR: folder, DATABASE_URL: server.database.url, ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS };
}, STARTING_MS);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, STARTING_MS);

const signIn = (username: string, password: string, url = server.url) =>
  request(url, "POST", "/api/auth/signin", { username, password });
const PASSWORD = "correct horse battery staple";

/** The entries about somebody, oldest first, without what differs from run to run. */
async function actionsOn(person: { readonly name: string }): Promise<string[]> {
  const { entries } = await adminJson(env, "audit", "--user", person.name);
  return entries.map(({ action }: { action: string }) => action).reverse();
}

describe("disabling an account", () => {
  test("refuses it everywhere at once, at every node; enabling it lets it in again [AUTH-7]", async () => {
    const [ann, ben] = [await server.person(), await server.person()];
    const dm = await ann.dm(ben);
    using here = await ann.live();
    using there = await ann.at(other.url).live();
    using bystander = await ben.live();
    const ticket = (await ann.request("POST", "/api/auth/ws-ticket")).json.ticket;

    const answer = await adminJson(env, "disable", ann.name);
    const done = performance.now();
    expect(answer).toEqual({ id: ann.id, username: ann.name, changed: true, ended: 1 });
    for (const peer of [here, there]) expect(await peer.ended()).toEqual({ code: 4411, reason: "account_disabled" });
    expect(performance.now() - done).toBeLessThan(CLOSE_MS + BUSY_MS);

    for (const url of [server.url, other.url]) {
      await waitUntil(
        "its token is refused",
        async () => (await ann.at(url).request("GET", "/api/auth/me")).status === 401,
        CLOSE_MS + BUSY_MS,
      );
      const signedIn = await signIn(ann.name, PASSWORD, url);
      expect([signedIn.status, signedIn.json.error.code]).toEqual([403, "account_disabled"]);
      const wrong = await signIn(ann.name, "a wrong pass phrase", url);
      expect([wrong.status, wrong.json.error.code]).toEqual([401, "invalid_credentials"]); // tells a stranger nothing
      const relay = await request(url, "POST", "/login", { name: ann.name, password: PASSWORD });
      expect([relay.status, relay.json.error.code]).toEqual([403, "account_disabled"]);
      const refreshed = await request(url, "POST", "/api/auth/refresh", { refresh_token: ann.refreshToken });
      expect(refreshed.status).toBe(401);
      for (const [path, headers] of [
        [`/ws?ticket=${ticket}`, {}],
        ["/ws", { Authorization: `Bearer ${ann.token}` }],
      ] as const) {
        const upgraded = await RawSocket.upgrade(socketUrl({ url }, path), headers);
        using _ = upgraded.socket;
        expect([path, upgraded.status]).toEqual([path, 401]);
      }
    }
    expect((await bystander.say(dm, "are you there?")).type).toBe("receipt"); // kept for when it is enabled

    expect((await adminJson(env, "disable", ann.name)).changed).toBe(false);
    expect((await adminJson(env, "enable", ann.name)).changed).toBe(true);
    expect((await adminJson(env, "enable", ann.name)).changed).toBe(false);
    expect((await request(server.url, "GET", "/api/auth/me", undefined, ann.token)).status).toBe(401);
    const again = await ann.signIn();
    using back = await again.at(other.url).connect();
    await back.match((frame) => frame.type === "message" && frame.conversation_id === dm);
    expect(await actionsOn(ann)).toEqual(["disable", "enable"]); // what changed nothing is not written down
  });

  test("wins against sign-ins that come at the same time: none of them is left", async () => {
    for (let round = 0; round < 3; round++) {
      const ann = await server.person();
      const tries = Array.from({ length: 10 }, (_, i) =>
        signIn(ann.name, PASSWORD, i % 2 === 0 ? server.url : other.url),
      );
      await adminJson(env, "disable", ann.name);
      for (const { status, json } of await Promise.all(tries)) {
        if (status === 200) {
          const answer = await request(server.url, "POST", "/api/auth/refresh", { refresh_token: json.refresh_token });
          expect(answer.status).toBe(401);
        } else expect(["account_disabled", "unavailable"]).toContain(json.error.code); // or a machine too busy for ten hashes
      }
      const live = await server.db.query("select 1 from sessions where account = $1 and ended_at is null", [ann.id]);
      expect(live).toEqual([]);
    }
  });
});

describe("sessions", () => {
  test("are shown; one is ended, then all of them, and the nodes close their sockets [AUTH-6]", async () => {
    const ann = await server.person();
    const body = { username: ann.name, password: PASSWORD, device_name: "Phone", platform: "ios" };
    const phone = (await request(server.url, "POST", "/api/auth/signin", body)).json;
    const shown = await adminJson(env, "sessions", ann.name);
    expect(shown).toMatchObject({
      id: ann.id,
      username: ann.name,
      sessions: [
        { id: phone.session_id, device_id: phone.device_id, device_name: "Phone", platform: "ios" },
        { id: ann.sessionId, device_id: ann.deviceId, device_name: null, platform: null },
      ],
    });
    expect(shown.sessions[0].last_seen).toMatch(/^\d{4}-\d\d-\d\d$/);

    using one = await ann.at(other.url).live();
    const pad = await ann.signIn();
    using two = await pad.at(other.url).live();
    expect(await adminJson(env, "revoke", ann.sessionId)).toEqual({ id: ann.id, session: ann.sessionId, ended: 1 });
    let done = performance.now();
    expect(await one.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - done).toBeLessThan(CLOSE_MS + BUSY_MS);
    await two.settled();

    expect(await adminJson(env, "revoke", "--all", ann.name)).toMatchObject({ ended: 2 });
    done = performance.now();
    expect(await two.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - done).toBeLessThan(CLOSE_MS + BUSY_MS);
    expect((await runAdmin(env, ["revoke", ann.sessionId, "--yes"])).code).toBe(1);
    expect(await actionsOn(ann)).toEqual(["list_sessions", "revoke_session", "revoke_all_sessions"]);
  });

  test("that their owner ends at one node close at the other, though the nodes share no Redis [AUTH-6]", async () => {
    const ann = await server.person();
    const phone = await ann.signIn();
    const pad = await ann.signIn();
    using one = await phone.at(other.url).live();
    using two = await pad.at(other.url).live();
    using mine = await ann.at(other.url).live();
    const start = performance.now();
    expect((await ann.request("DELETE", `/api/auth/sessions/${phone.sessionId}`)).status).toBe(204);
    expect(await one.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect((await ann.request("DELETE", "/api/auth/sessions")).json).toEqual({ ended: 1 });
    expect(await two.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - start).toBeLessThan(2 * CLOSE_MS + BUSY_MS);
    await mine.settled();
  });
});

describe("reports", () => {
  /** Something that a terminal would obey, and that would look like a line of ours. */
  const HOSTILE = "\x1b[2Jcleared\nstate   closed\u202e";

  test("are listed, shown, and closed once, by number and by id, and not without the key they are sealed with", async () => {
    const [ann, ben] = [await server.person(), await server.person()];
    const said = { user_id: ben.id, reason: "abuse", note: HOSTILE };
    const { id } = (await ann.request("POST", "/api/reports", said)).json;
    const { reports } = await adminJson(env, "reports");
    const [{ number, ...head }] = reports;
    expect(head).toMatchObject({
      id,
      reporter: { username: ann.name },
      reported: { username: ben.name },
      state: "open",
    });
    expect(await adminJson(env, "report", String(number))).toEqual(await adminJson(env, "report", id));
    const { out } = await runAdmin(env, ["report", String(number)]);
    expect(out).toContain("The reporter says:\n  | \ufffd[2Jcleared\n  | state   closed\n");
    expect(out).not.toMatch(/\x1b|\u202e/);

    const { ENCRYPTION_KEYS: _, ...keyless } = env;
    const unread = await runAdmin(keyless, ["report", id]);
    expect([unread.code, unread.out, unread.err]).toEqual([
      4,
      "",
      expect.stringMatching(/^Configure the encryption key/m),
    ]);

    using socket = await ben.at(other.url).live();
    const unconfirmed = await runAdmin(env, ["close-report", String(number), "disabled"]);
    expect([unconfirmed.code, unconfirmed.out]).toEqual([3, ""]);
    const closed = await adminJson(env, "close-report", String(number), "disabled", "--note", "the third");
    expect(closed).toMatchObject({ id, state: "closed", outcome: "disabled", closing_note: "the third", ended: 1 });
    expect(await socket.ended()).toEqual({ code: 4411, reason: "account_disabled" });
    expect((await runAdmin(env, ["close-report", id, "warned"])).err).toContain("it was closed before");
    expect((await adminJson(env, "reports")).reports).toEqual([]);
    expect((await adminJson(env, "stats")).reports).toEqual({ open: 0, closed: 1 });
    const { entries } = await adminJson(env, "audit", "--limit", "5");
    const what = entries.map((entry: { action: string; report_id: string }) => [entry.action, entry.report_id]);
    const reads = ["read_report", id];
    // What could not be opened was looked for all the same.
    expect(what.toReversed()).toEqual([reads, reads, reads, ["disable", id], ["close_report", id]]);
    expect(await actionsOn(ben)).toEqual(["disable"]);
  });

  test("by a word that names none are refused", async () => {
    for (const word of ["0", "999999999", uuidv7(), "x"]) {
      expect([word, (await runAdmin(env, ["report", word])).code]).toEqual([word, 1]);
    }
    for (const words of [
      ["close-report", "1"],
      ["close-report", "1", "forgotten"],
      ["reports", "--state", "lost"],
    ])
      expect([words, (await runAdmin(env, words)).code]).toEqual([words, 2]);
  });
});

describe("accounts and passwords", () => {
  test("an account is made, with a password that is told once and works", async () => {
    const name = `made_${uuidv7().slice(-8)}`;
    const { code, out } = await runAdmin(env, [
      "create-user",
      name,
      "--email",
      `${name}@example.org`,
      "--name",
      "M.",
      "--admin",
    ]);
    expect(code).toBe(0);
    const password = /^Password {2}(\S+)$/m.exec(out)?.[1] ?? "";
    expect(password).toMatch(/^([a-km-z2-9]{5}-){3}[a-km-z2-9]{5}$/);
    expect(out.split(password)).toHaveLength(2);
    const { status, json } = await signIn(name, password);
    expect(status).toBe(200);
    const me = (await request(server.url, "GET", "/api/auth/me", undefined, json.access_token)).json;
    expect(me).toMatchObject({ username: name, email: `${name}@example.org`, display_name: "M.", role: "admin" });
    expect(await actionsOn({ name })).toEqual(["create_user", "promote"]);
    const log = await server.db.query("select * from audit_log");
    expect(JSON.stringify(log) + server.logged()).not.toContain(password);
  });

  test("a password is replaced: the old one and the sessions end, the new one works, each time another", async () => {
    const ann = await server.person();
    using there = await ann.at(other.url).live();
    const first = await adminJson(env, "reset-password", ann.name.toUpperCase());
    expect(await there.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect((await signIn(ann.name, PASSWORD)).status).toBe(401);
    expect((await signIn(ann.name, first.password)).status).toBe(200);
    const second = await adminJson(env, "reset-password", ann.id);
    expect(second.password).not.toBe(first.password);
    expect((await signIn(ann.name, first.password)).status).toBe(401);
    expect((await request(server.url, "POST", "/api/auth/refresh", { refresh_token: ann.refreshToken })).status).toBe(
      401,
    );
  });

  test("roles are given and taken", async () => {
    const ann = await server.person();
    const roleOf = async () => (await ann.request("GET", "/api/auth/me")).json.role;
    expect(await roleOf()).toBe("user");
    expect((await adminJson(env, "promote", ann.name)).changed).toBe(true);
    expect((await adminJson(env, "promote", ann.name)).changed).toBe(false);
    expect(await roleOf()).toBe("admin");
    expect((await adminJson(env, "demote", ann.name)).changed).toBe(true);
    expect(await roleOf()).toBe("user");
    expect(await actionsOn(ann)).toEqual(["promote", "demote"]);
  });

  test("a user name that looks like somebody's id does not stand for them", async () => {
    const victim = await server.person();
    const impostor = await server.person(victim.id);
    expect((await adminJson(env, "disable", victim.id)).id).toBe(victim.id);
    expect((await impostor.request("GET", "/api/auth/me")).status).toBe(200);
  });

  test("stats count what there is", async () => {
    const before = await adminJson(env, "stats");
    const [ann, ben] = [await server.person(), await server.person()];
    using peer = await ann.live();
    await peer.say(await ann.dm(ben), "one");
    const after = await adminJson(env, "stats");
    expect(after.accounts.total - before.accounts.total).toBe(2);
    expect(after.sessions - before.sessions).toBe(2);
    expect(after.conversations - before.conversations).toBe(1);
    expect(after.entries - before.entries).toBe(2);
    expect(after.database_bytes).toBeGreaterThan(1_000_000);
  });
});

describe("the command line", () => {
  test.each([
    [["disable", "nobody_at_all", "--yes"], 1, "there is none here"],
    [["create-user", "x"], 1, "must be 3 to 50 letters"],
    [["create-user", "somebody", "--email", "none"], 1, '"email"'],
    [["revoke", uuidv7(), "--yes"], 1, "there is nothing here"],
    [[], 2, ""],
    [["fly"], 2, "Choose one of create-user"],
    [["__proto__"], 2, "Choose one of"],
    [["disable"], 2, "Give one USER"],
    [["disable", "a", "b"], 2, "Give one USER"],
    [["stats", "--admin"], 2, "Leave out --admin"],
    [["stats", "--fly"], 2, "--fly"],
    [["revoke", "ada"], 2, "Name a session by its id"],
    [["audit", "--limit", "0"], 2, "Set --limit to a whole number from 1 to 1000"],
    [["audit", "--before", "1; drop table accounts"], 2, "Set --before"],
  ] as const)("admin %p ends with %p", async (words, code, sentence) => {
    const run = await runAdmin(env, words);
    expect([run.code, run.err]).toEqual([code, expect.stringContaining(sentence)]);
    expect(run.err).not.toMatch(/\bat .*\.ts:\d/); // a sentence, no stack
  });

  test("refusals are JSON where JSON was asked for", async () => {
    const { code, out, err } = await runAdmin(env, ["promote", "nobody_at_all", "--json"]);
    expect([code, out]).toEqual([1, ""]);
    expect(JSON.parse(err).error.code).toBe("user_not_found");
  });

  test("asks before what cannot be undone, and takes only a yes", async () => {
    const ann = await server.person();
    for (const [words, input] of [
      [["disable", ann.name], ""],
      [["disable", ann.name], "y\n"],
      [["reset-password", ann.name], "no\n"],
      [["revoke", "--all", ann.name], ""],
      [["revoke", ann.sessionId], "\n"],
      [["demote", ann.name], ""],
    ] as const) {
      const run = await runAdmin(env, words, input);
      expect([words, run.code, run.out]).toEqual([words, 3, ""]);
      expect(run.err).toContain("Nothing was done: answer yes, or add --yes");
    }
    expect((await ann.request("GET", "/api/auth/me")).status).toBe(200);
    expect(await actionsOn(ann)).toEqual([]);
    const run = await runAdmin(env, ["disable", ann.name], "yes\n");
    expect([run.code, run.err]).toEqual([0, expect.stringContaining(`Disable ${ann.name} (${ann.id})`)]);
  });

  test("shows its help", async () => {
    const all = await runAdmin(env, ["--help"]);
    expect(all.code).toBe(0);
    for (const command of [
      "create-user",
      "reset-password",
      "disable",
      "enable",
      "sessions",
      "revoke",
      "promote",
      "demote",
    ])
      expect(all.out).toContain(`  ${command} `);
    const one = await runAdmin(env, ["disable", "--help"]);
    expect([one.code, one.out]).toEqual([0, expect.not.stringContaining("create-user")]);
  });

  test.each([
    [
      "a database that is not there",
      { DATABASE_URL: "postgres://nobody@127.0.0.1:9/none" },
      "Check the database address",
    ],
    ["a database that is none", { DATABASE_URL: "mysql://x/y" }, "Set DATABASE_URL"],
  ])("with %s it ends with 4 and a sentence", async (_, variables, sentence) => {
    const { code, err } = await runAdmin({ DATA_DIR: folder, ...variables }, ["stats"]);
    expect([code, err]).toEqual([4, expect.stringContaining(sentence)]);
    expect(err).not.toMatch(/\bat .*\.ts:\d/);
  });

  test("does not migrate a database that it did not start", async () => {
    await using empty = await createEmptyDatabase();
    const { code, err } = await runAdmin({ DATA_DIR: folder, DATABASE_URL: empty.url }, ["stats"]);
    expect([code, err]).toEqual([4, expect.stringContaining("npm run migrate -- up")]);
    expect(await empty.db.query("select 1 from pg_tables where schemaname = 'public'")).toEqual([]);
  });
});

describe("the embedded database", () => {
  test("is started where no server runs, and the running server's is used where one does", async () => {
    const own = await mkdtemp(join(tmpdir(), "sotto-admin-"));
    await chmod(own, 0o711); // as root, another user runs the database
    try {
      const made = await adminJson({ DATA_DIR: own }, "create-user", "ada");
      const postgres = await startEmbeddedPostgres({ dataDir: own }); // what npm start does
      try {
        expect(postgres.reused).toBe(false); // the command ended what it had started
        await using app = await createApp(testConfig(), { databaseUrl: postgres.url });
        const { status, json } = await signIn("ada", made.password, app.url);
        expect(status).toBe(200);
        await adminJson({ DATA_DIR: own }, "disable", "ada");
        const me = () => request(app.url, "GET", "/api/auth/me", undefined, json.access_token);
        await waitUntil("its token is refused", async () => (await me()).status === 401, CLOSE_MS + BUSY_MS);
      } finally {
        await postgres.stop();
      }
    } finally {
      await rm(own, { recursive: true, force: true });
    }
  }, 60_000);
});
