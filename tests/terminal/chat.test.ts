/** `npm run chat` as people use it: real pseudo-terminals, a real server, and what stands on the screen. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { fingerprintOf, SottoClient } from "../../src/client/mod.ts";
import { keysFor, PASSWORD } from "../client/people.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { linesWith, Sitter } from "./chat_people.ts";
import { homeFolder, TerminalProgram } from "./terminal_program.ts";

/** Each starts some programs of a second or two on a machine that may be busy. */
const SLOW_MS = 120_000;
let server: TestApp;

beforeAll(async () => {
  server = await startApp();
});
afterAll(() => server?.[Symbol.asyncDispose]());

describe("npm run chat", () => {
  test(
    "two people register, talk, and see what the other types and reads",
    async () => {
      await using ada = await Sitter.register(server.url, "ada");
      await using bob = await Sitter.register(server.url, "bob");
      for (const { at } of [ada, bob]) expect(at.written).not.toContain(PASSWORD);
      ada.at.enter(`/new ${bob.username}`);
      await ada.at.shows(bob.username, "connected · end-to-end encrypted with PEM keys");
      ada.at.enter("Meet me at nine");
      await ada.at.shows("Meet me at nine  · sent");
      await bob.at.shows(new RegExp(`1 +${ada.username} +1 new .*end-to-end`));
      bob.at.enter("/open 1");
      await bob.at.shows(`${ada.username} Meet me at nine`);
      await ada.at.shows("Meet me at nine  · read");
      bob.at.type("Where");
      await ada.at.shows(`${bob.username} is typing …`);
      bob.at.enter(" exactly?");
      await ada.at.shows(`${bob.username} Where exactly?`);
      await ada.at.hides("is typing");
      expect(linesWith(bob.at, "Where exactly?")).toHaveLength(1);
      const today = new Date().toLocaleDateString("en-GB", { timeZone: "UTC", day: "numeric", month: "long" });
      expect(ada.at.text).toMatch(new RegExp(`─ \\w+day ${today} \\d{4} ─`));
      expect(ada.at.rows.filter((row) => row.length > 80)).toEqual([]);
    },
    SLOW_MS,
  );

  test(
    "a second start needs no password, shows the history, and what came meanwhile",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      await using bob = await Sitter.arrive(server.url, "bob");
      ada.at.enter(`/new ${bob.username}`);
      await ada.at.shows("began this conversation");
      ada.at.enter("before the end");
      await ada.at.shows("before the end  · sent");
      await bob.at.shows("1 new");
      await bob.quit();
      await bob.at.givesScreenBack();
      ada.at.enter("while bob was away");
      await ada.at.shows("while bob was away  · sent");
      const again = bob.start({ args: [] });
      await again.shows(`Sotto · ${bob.username}`, new RegExp(`${ada.username} +2 new`)); // neither was read
      again.enter(`/open ${ada.username}`);
      await again.shows("before the end", "while bob was away");
      again.type("\x03");
      expect(await again.ends()).toBe(0);
      const files = await bob.files();
      expect(Object.entries(files).map(([name, { mode }]) => [name, mode])).toEqual([
        ["default.json", "600"],
        ["default.state.json", "600"],
      ]);
      expect(files["default.json"]?.text).toContain("BEGIN PRIVATE KEY");
      expect(
        Object.values(files).some(({ text }) => text.includes("while bob was away") || text.includes(PASSWORD)),
      ).toBe(false);
    },
    SLOW_MS,
  );

  test(
    "edits, deletions and reactions change what both see, also where it is read from a page",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      await using bob = await Sitter.arrive(server.url, "bob");
      ada.at.enter(`/new ${bob.username}`);
      await ada.at.shows("began this conversation");
      ada.at.enter("Meet me at nine");
      await bob.at.shows("1 new");
      bob.at.enter("/open 1");
      await bob.at.shows("Meet me at nine");
      ada.at.enter("/edit Meet me at ten");
      for (const { at } of [ada, bob]) {
        await at.shows("Meet me at ten  · edited");
        await at.hides("at nine");
      }
      bob.at.enter("/react 👍");
      for (const { at } of [ada, bob]) await at.shows(`      👍 ${bob.username}`);
      bob.at.enter("too late");
      await bob.at.shows("too late  · read");
      bob.at.enter("/delete");
      for (const { at } of [ada, bob]) await at.shows(`${bob.username} (deleted)`);
      await ada.quit();
      const again = ada.start({ args: [] });
      await again.shows(bob.username);
      again.enter("/open 1");
      await again.shows("Meet me at ten  · edited", `      👍 ${bob.username}`, "(deleted)");
      bob.at.enter("/react 👍");
      await again.hides("👍");
      expect(again.text).not.toMatch(/at nine|too late/);
    },
    SLOW_MS,
  );

  test(
    "a report is shown before it is sent, and is sent after /yes alone; a block keeps somebody away",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      await using bob = await Sitter.arrive(server.url, "bob");
      ada.at.enter("/report spam");
      await ada.at.shows("Open a conversation first");
      bob.at.enter(`/new ${ada.username}`);
      await bob.at.shows("began this conversation");
      for (const text of ["nothing bad yet", "buy my followers", "buy them now"]) bob.at.enter(text);
      await bob.at.shows("buy them now  · sent");
      await ada.at.shows("3 new");
      ada.at.enter("/open 1");
      await ada.at.shows("buy them now");
      ada.at.enter("/report 2 boredom");
      await ada.at.shows("/report [N] spam|abuse|illegal|impersonation|other");
      ada.at.enter("/report 2 spam he sells followers");
      await ada.at.shows(
        `administrators would learn: you report ${bob.username} for spam`,
        ...["and say of it: he sells followers", "unencrypted and in full:", "buy my followers", "/yes sends it"],
      );
      expect(ada.at.rows.filter((row) => row.length > 80)).toEqual([]);
      ada.at.enter("/help");
      await ada.at.shows("/report [N] WHY");
      ada.at.enter("/yes");
      await ada.at.shows("There is nothing to say yes to");
      const stored = () =>
        server.db.query("select 1 from reports r join accounts a on a.id = r.reporter where a.username = $1", [
          ada.username,
        ]);
      expect(await stored()).toEqual([]);
      ada.at.enter("/report 2 spam he sells followers");
      await ada.at.shows("/yes sends it");
      ada.at.enter("/yes");
      await ada.at.shows(`Reported. ${bob.username} is not told`);
      expect(await stored()).toHaveLength(1);
      ada.at.enter(`/block ${bob.username}`);
      await ada.at.shows(`${bob.username} is blocked, and is not told`);
      bob.at.enter("are you there?");
      await bob.at.shows("are you there?  · sent");
      ada.at.enter(`/unblock ${bob.username}`);
      await ada.at.shows(`${bob.username} is blocked no longer`);
      bob.at.enter("hello again");
      await ada.at.shows("hello again", "(deleted)");
      expect(ada.at.text).not.toContain("are you there?");
    },
    SLOW_MS,
  );

  test(
    "a group is made by names, lists its people, and says what it is",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      await using bob = await Sitter.arrive(server.url, "bob");
      await using eve = await Sitter.arrive(server.url, "eve");
      ada.at.enter(`/group "The ferry" ${bob.username} nobody-of-that-name`);
      await ada.at.shows("Nobody called nobody-of-that-name");
      ada.at.enter(`/group "The ferry" ${bob.username} ${eve.username}`);
      await ada.at.shows("The ferry · group of 3");
      ada.at.enter("All aboard");
      await ada.at.shows("All aboard  · sent");
      for (const { at } of [bob, eve]) {
        await at.shows("The ferry", "new");
        at.enter("/open the ferry");
        await at.shows("All aboard", "The ferry · group of 3");
      }
      await ada.at.shows("All aboard  · read");
      eve.at.enter("/who");
      const keys = await Promise.all(
        [ada, bob, eve].map(async ({ files }, index) => {
          const sitter = [ada, bob, eve][index] ?? ada;
          const { keys: pair } = JSON.parse((await files.call(sitter))["default.json"]?.text ?? "{}");
          const fingerprint = (await fingerprintOf(pair.publicKey)).slice(0, 32).match(/.{4}/g)?.join(" ");
          return `${sitter.username}  key ${fingerprint}`;
        }),
      );
      await eve.at.shows(...keys);
    },
    SLOW_MS,
  );

  test(
    "what others write cannot move the cursor, colour the screen or turn the text around",
    async () => {
      await using bob = await Sitter.arrive(server.url, "bob", { env: { NO_COLOR: "1" } });
      const keys = await keysFor(4);
      const username = `mallory${crypto.randomUUID().slice(0, 4)}`;
      await using mallory = await SottoClient.signUp(server.url, { username, password: PASSWORD, keys });
      mallory.connect();
      const me = await mallory.api.findUsers(bob.username);
      const dm = await mallory.api.createConversation({
        conversation_type: "dm",
        participant_ids: me.users.map(({ id }) => id),
      });
      await bob.at.shows(username);
      bob.at.enter("/open 1");
      await bob.at.shows("connected · end-to-end");
      const attacks = [
        "one\x1b[2J\x1b[Hgone",
        "two\x1b[31mred\x1b]0;title\x07",
        "three\u202eterces\u202c\u2066x",
        "four\r\x08\x08\x9b31mfive",
        "six\n09:41 ada seven",
        `zalgo${"\u0301".repeat(500)}end`,
      ];
      for (const text of attacks) await mallory.send(dm.id, text);
      await bob.at.shows("one�[2J�[Hgone", "two�[31mred�]0;title�", "threetercesx", "four���", "seven", "end");
      expect(bob.at.rows[0]).toStartWith(username);
      expect(bob.at.text).toMatch(/ six *\n {6}09:41 ada seven/);
      // What the program wrote holds no colour, no title and no direction of anybody's making.
      expect(bob.at.written).not.toMatch(/\x1b\[[\d;]*3[0-7][\d;]*m|\x1b\]|[\u202a-\u202e\u2066-\u2069]|\u0301{5}/);
      expect(bob.at.rows.map((_, row) => bob.at.colouredCells(row)).every((count) => count === 0)).toBe(true);
    },
    SLOW_MS,
  );

  test(
    "pages back through a long log, and forward to its end",
    async () => {
      await using bob = await Sitter.arrive(server.url, "bob");
      const keys = await keysFor(4);
      const username = `carol${crypto.randomUUID().slice(0, 4)}`;
      await using carol = await SottoClient.signUp(server.url, { username, password: PASSWORD, keys });
      carol.connect();
      const [found] = (await carol.api.findUsers(bob.username)).users;
      const group = { conversation_type: "group", encryption: "server", name: "Log" } as const;
      const { id } = await carol.api.createConversation({
        ...group,
        participant_ids: found === undefined ? [] : [found.id],
      });
      const numbers = Array.from({ length: 120 }, (_, index) => `line ${index + 1} of many`);
      await Promise.all(numbers.map((text) => carol.send(id, text)));
      await bob.quit();
      const { at } = { at: bob.start({ args: [] }) };
      await at.shows("Log", "the server can read");
      at.enter("/open Log");
      await at.shows("line 120 of many", "the server can read this (server)");
      await carol.api.rename(id, "The log");
      await at.shows("The log · group of 2", `— ${username} named it The log`);
      at.enter("/history");
      await at.hides("line 120 of many");
      for (let pages = 0; !at.text.includes("line 1 of many"); pages++) {
        expect(pages).toBeLessThan(30);
        const before = at.text;
        at.type("\x1b[5~");
        await at.changes(before);
      }
      await at.shows("began this conversation");
      for (let pages = 0; !at.text.includes("line 120 of many"); pages++) {
        expect(pages).toBeLessThan(30);
        const before = at.text;
        at.type("\x1b[6~");
        await at.changes(before);
      }
    },
    SLOW_MS,
  );

  test(
    "says what it does not know, and what it cannot do",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      const { at } = ada;
      at.enter("/dance");
      await at.shows("There is no command /dance: /help shows those there are");
      at.enter("hello?");
      await at.shows("Open a conversation first");
      at.enter("\x15/open nobody");
      await at.shows("There is no conversation called nobody");
      at.enter(`/new ${ada.username}`);
      await at.shows("That is you");
      at.enter("/help");
      await at.shows("/open NAME", "/group NAME a b c", "/quit, /exit, /q", `${ada.home}/.config/sotto/default.json`);
      at.type("/hist\t");
      await at.shows("> /history");
      at.enter("\x15/exit");
      expect(await at.ends()).toBe(0);
    },
    SLOW_MS,
  );

  test(
    "somebody without a key cannot be written to, and the message says so",
    async () => {
      const keyless = await server.person();
      await using ada = await Sitter.arrive(server.url, "ada");
      ada.at.enter(`/new ${keyless.name}`);
      await ada.at.shows("connected · end-to-end");
      ada.at.enter("can you hear me");
      await ada.at.shows("can you hear me", "not sent: They have published no key yet");
      await ada.quit();
    },
    SLOW_MS,
  );

  test(
    "a new key of somebody is used only after it was trusted",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      await using bob = await Sitter.arrive(server.url, "bob");
      ada.at.enter(`/new ${bob.username}`);
      await ada.at.shows("began this conversation");
      ada.at.enter("with the first key");
      await ada.at.shows("· sent");
      await bob.quit();
      // Bob signs in on a machine that does not have his key.
      await using elsewhere = await homeFolder();
      const args = ["--server", server.url, "--user", bob.username];
      await using machine = TerminalProgram.start({ home: elsewhere.path, args });
      await machine.shows("(s)ign in?");
      machine.enter("s");
      await machine.shows("Password:");
      machine.enter("not-his-password-at-all");
      await machine.shows("do not belong together", "(s)ign in?");
      machine.enter("s");
      await machine.shows(/Password:(.|\n)*Password:/);
      machine.enter(PASSWORD);
      await machine.shows("private key is on another machine", "(n)ew key");
      machine.enter("n");
      await machine.shows(ada.username, "connected");
      await ada.at.shows(`${bob.username} has a new key`);
      await ada.quit(); // the next start has checked no key yet
      const at = ada.start({ args: [] });
      await at.shows(bob.username);
      at.enter("/open 1");
      await at.shows("with the first key");
      at.enter("with the second key");
      await at.shows("not sent: Their key is another one than before");
      at.enter(`/trust ${bob.username}`);
      await at.shows("From now on");
      at.enter("and now?");
      await at.shows("and now?  · sent");
      machine.enter("/open 1");
      await machine.shows("and now?", "not_a_recipient");
    },
    SLOW_MS,
  );

  test(
    "follows the size of the window, down to a narrow one",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      ada.at.resize(120, 40);
      await ada.at.shows("─".repeat(120));
      expect(ada.at.rows.findIndex((row) => row.startsWith(">"))).toBe(38);
      ada.at.resize(40, 12);
      await ada.at.shows(/^─{40}$/m, "No conversations yet");
      await ada.at.hides("─".repeat(41));
      expect(ada.at.rows.filter((row) => row.startsWith("─"))).toHaveLength(2);
      ada.at.enter("/help");
      await ada.at.shows("/list");
      await ada.quit();
    },
    SLOW_MS,
  );

  test(
    "refuses to start twice with one profile, and ends its session at /signout",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      await using second = TerminalProgram.start({ home: ada.home });
      expect(await second.ends()).toBe(2);
      expect(second.text).toContain("Close the other terminal first");
      ada.at.enter("/signout");
      expect(await ada.at.ends()).toBe(0);
      const at = ada.start({ args: [] });
      await at.shows(`You are signed out. Sign in as ${ada.username}`, "Password:");
      at.enter(PASSWORD);
      await at.shows("No conversations yet", "connected");
      await using stranger = TerminalProgram.start({ home: ada.home, args: ["--user", "bob"] });
      expect(await stranger.ends()).toBe(2);
    },
    SLOW_MS,
  );
});

describe("when the terminal goes away", () => {
  test(
    "the program ends at once, with its lock taken back",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      ada.at.hangUp();
      expect(await ada.at.ends()).toBe(129);
      expect(Object.keys(await ada.files())).not.toContain("default.lock");
      // Also where nothing was answered yet.
      await using home = await homeFolder();
      await using asking = TerminalProgram.start({ home: home.path });
      await asking.shows("Server (Enter for http://127.0.0.1:8000):");
      asking.hangUp();
      expect(await asking.ends()).toBe(129);
    },
    SLOW_MS,
  );

  test(
    "a signal gives the terminal back first",
    async () => {
      await using ada = await Sitter.arrive(server.url, "ada");
      ada.at.kill("SIGTERM");
      expect(await ada.at.ends()).toBe(143);
      await ada.at.givesScreenBack();
    },
    SLOW_MS,
  );
});

describe("without a terminal", () => {
  async function run(...args: string[]) {
    const child = Bun.spawn([process.execPath, "src/terminal/main.ts", ...args], { stdout: "pipe", stderr: "pipe" });
    const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code: await child.exited, output, errors };
  }

  test(
    "a sentence and exit code 2",
    async () => {
      const { code, output, errors } = await run();
      expect([code, output, errors]).toEqual([2, "", "Start it in a terminal: it needs a screen and a keyboard\n"]);
    },
    SLOW_MS,
  );

  test(
    "--help tells the options, and a wrong one is named",
    async () => {
      const help = await run("--help");
      expect(help.code).toBe(0);
      for (const option of ["--server", "--user", "--profile", "--room"]) expect(help.output).toContain(option);
      expect(help.output.split("\n").filter((row) => row.length > 80)).toEqual([]);
      expect(await run("--colour")).toMatchObject({ code: 2, output: "" });
      expect((await run("--server", "http://")).errors).toContain("Give an address");
    },
    SLOW_MS,
  );
});
