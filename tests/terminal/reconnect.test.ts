/** A server that dies under people who type: nothing of theirs is lost, and nothing comes twice. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { SottoClient } from "../../src/client/mod.ts";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { keysFor, PASSWORD } from "../client/people.ts";
import { freePort } from "../support/free_port.ts";
import { ServerProcess } from "../support/server_process.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import { linesWith, Sitter } from "./chat_people.ts";

const SLOW_MS = 240_000;
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ PORT: String(await freePort()) });
}, 90_000);
afterAll(() => server?.[Symbol.asyncDispose](), 60_000);

/** Two people who have opened the conversation that they share, with one message in it. */
async function twoPeople(): Promise<AsyncDisposable & { readonly ada: Sitter; readonly bob: Sitter }> {
  const ada = await Sitter.arrive(server.url, "ada");
  const bob = await Sitter.arrive(server.url, "bob");
  ada.at.enter(`/new ${bob.username}`);
  await ada.at.shows("began this conversation");
  ada.at.enter("message one");
  await bob.at.shows("1 new");
  bob.at.enter("/open 1");
  await ada.at.shows("message one  · read");
  return {
    ada,
    bob,
    [Symbol.asyncDispose]: async () => {
      await ada[Symbol.asyncDispose]();
      await bob[Symbol.asyncDispose]();
    },
  };
}

test(
  "what was deleted on another device while the line was cut is gone from the screen, without a restart",
  async () => {
    const { hostname, port } = new URL(server.url);
    await using line = await TcpProxy.start({ host: hostname, port: Number(port) });
    await using eve = await Sitter.arrive(line.through(server.url), "eve");
    const keys = await keysFor(0);
    const name = `mal_${crypto.randomUUID().slice(0, 8)}`;
    await using mal = await SottoClient.signUp(server.url, { username: name, password: PASSWORD, keys });
    mal.connect();
    eve.at.enter(`/new ${name}`);
    await eve.at.shows("began this conversation");
    const { conversations } = await mal.api.listConversations();
    const id = conversations[0]?.id as ConversationId;
    const { id: unwanted } = await mal.send(id, "better unsaid");
    await mal.send(id, "something else");
    await eve.at.shows("better unsaid", "something else");
    line.cut();
    await eve.at.shows(/reconnecting in \d+ s/);
    const device = { username: eve.username, password: PASSWORD };
    await using other = await SottoClient.signIn(server.url, device);
    await other.deleteForMe(id, unwanted);
    line.heal();
    await eve.at.shows("deleted for you", "something else", "connected");
    await eve.at.hides("better unsaid");
    await eve.quit();
  },
  SLOW_MS,
);

describe("a server that is killed", () => {
  test(
    "what is typed meanwhile waits on the screen, and is sent once and in order",
    async () => {
      await using pair = await twoPeople();
      const { ada, bob } = pair;
      await server.signal("SIGKILL");
      await ada.at.shows(/reconnecting in \d+ s/);
      const words = ["two", "three", "four", "five"].map((word) => `message ${word}`);
      for (const text of words) ada.at.enter(text);
      for (const text of words) await ada.at.shows(`${text}  · waiting`);
      await ada.at.shows("4 waiting to be sent");
      await server.startAgain();
      await bob.at.shows(...words, "connected");
      await ada.at.shows("message five  · read");
      await ada.at.hides("waiting");
      for (const { at } of [ada, bob]) {
        const shown = linesWith(at, "message ").map((row) => / (message \w+)/.exec(row)?.[1]);
        expect(shown).toEqual(["message one", ...words]);
      }
      bob.at.enter("still here");
      await ada.at.shows(`${bob.username} still here`);
    },
    SLOW_MS,
  );

  test(
    "what was typed is sent by the next start too, also after the client was killed",
    async () => {
      await using pair = await twoPeople();
      const { ada, bob } = pair;
      await server.signal("SIGKILL");
      await ada.at.shows(/reconnecting in \d+ s/);
      for (const text of ["kept one", "kept two"]) ada.at.enter(text);
      await ada.at.shows("2 waiting to be sent");
      ada.at.kill("SIGKILL");
      await ada.at.ends();
      const again = ada.start({ args: [] });
      await again.shows("2 waiting to be sent");
      await server.startAgain();
      await bob.at.shows("kept one", "kept two");
      await again.shows(bob.username, "connected");
      again.enter("/open 1");
      await again.shows("kept two  · ");
      await again.hides("waiting");
      for (const { at } of [ada, bob]) {
        expect(linesWith(at, "kept").map((row) => / (kept \w+)/.exec(row)?.[1])).toEqual(["kept one", "kept two"]);
      }
    },
    SLOW_MS,
  );
});
