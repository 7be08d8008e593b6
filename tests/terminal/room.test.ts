/** `npm run chat -- --room`: the public room in real terminals, against a real server that is also killed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { freePort } from "../support/free_port.ts";
import { ServerProcess } from "../support/server_process.ts";
import { linesWith, Sitter } from "./chat_people.ts";
import { homeFolder, TerminalProgram } from "./terminal_program.ts";

const SLOW_MS = 240_000;
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ PORT: String(await freePort()) });
}, 90_000);
afterAll(() => server?.[Symbol.asyncDispose](), 60_000);

/** Somebody who has an account, in the room. */
async function enter(name: string): Promise<Sitter> {
  const sitter = await Sitter.arrive(server.url, name);
  await sitter.quit();
  await sitter.start({ args: ["--room"] }).shows(`The public room · ${sitter.username}`, "connected · public");
  return sitter;
}

describe("npm run chat -- --room", () => {
  test(
    "registers by the room's rule, says, hears, and shows who comes",
    async () => {
      await using home = await homeFolder();
      const username = `john${crypto.randomUUID().slice(0, 4)}`;
      const args = ["--room", "--server", server.url, "--user", username];
      await using john = TerminalProgram.start({ home: home.path, args });
      await john.shows("(r)egister or (s)ign in?");
      for (const [keys, then] of [
        ["r", "Password:"],
        ["SecurePass123", "Password again:"],
        ["SecurePass123", `The public room · ${username}`],
      ] as const) {
        john.enter(keys);
        await john.shows(then);
      }
      await john.shows("connected · public: everybody and the server can read this");
      await using ada = await enter("ada");
      await john.shows(`— ${ada.username} came`);
      john.enter("Good evening\x1b");
      john.enter("everybody");
      await ada.at.shows(`${username} Good evening`, `${username} everybody`);
      await john.hides("waiting");
      ada.at.enter("/dance");
      await ada.at.shows("There is no command /dance here");
      ada.at.enter("Good evening, John");
      await john.shows(`${ada.username} Good evening, John`);
      ada.at.type("\x03");
      expect(await ada.at.ends()).toBe(0);
      await john.shows(`— ${ada.username} left`);
    },
    SLOW_MS,
  );

  test(
    "a late comer reads what was said before; what is said without a connection is said once, in order",
    async () => {
      await using ada = await enter("ada");
      const tag = crypto.randomUUID().slice(0, 8);
      ada.at.enter(`${tag} one`);
      await ada.at.hides("waiting");
      await using bob = await enter("bob");
      await bob.at.shows(`${ada.username} ${tag} one`);
      await server.signal("SIGKILL");
      await ada.at.shows(/reconnecting in \d+ s/);
      for (const word of ["two", "three"]) ada.at.enter(`${tag} ${word}`);
      await ada.at.shows(`${tag} three  · waiting`, "2 waiting");
      ada.at.kill("SIGKILL");
      await ada.at.ends();
      const again = ada.start({ args: ["--room"] });
      await again.shows("2 waiting");
      await server.startAgain();
      await bob.at.shows(`${tag} two`, `${tag} three`);
      await again.shows(`${tag} one`, `${tag} three`);
      await again.hides("waiting");
      for (const at of [again, bob.at]) {
        const shown = linesWith(at, tag).map((row) => row.slice(row.indexOf(tag) + tag.length + 1));
        expect(shown).toEqual(["one", "two", "three"]);
      }
    },
    SLOW_MS,
  );
});
