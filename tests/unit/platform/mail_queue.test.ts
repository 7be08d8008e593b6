/** Mails outside of requests: bounded, tried again, given up; with real SMTP servers that fail in each way. */
import { afterEach, expect, test } from "bun:test";
import { createMailQueue, type MailOutcome, type MailQueueOptions } from "../../../src/platform/mail_queue.ts";
import { createSmtpTransport } from "../../../src/platform/mail_transport.ts";
import { OverloadedError } from "../../../src/platform/overloaded.ts";
import { freePort } from "../../support/free_port.ts";
import { silentServer, TestMailServer } from "../../support/mail_server.ts";
import { waitUntil } from "../../support/wait.ts";

const FROM = "chat@sotto.test";
const to = (name: string) => async () => ({ to: `${name}@example.org`, subject: "Hello", text: "Hello\n" });

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

/** A queue to a server, with pauses that a test can wait for, and what became of its mails. */
function queueTo(url: string, more: Partial<MailQueueOptions> & { readonly silenceMs?: number } = {}) {
  const { silenceMs = 5_000, ...options } = more;
  const ended: [MailOutcome, unknown][] = [];
  const queue = createMailQueue({
    transport: createSmtpTransport({ url, from: FROM, silenceMs }),
    onEnded: (outcome, error) => ended.push([outcome, error]),
    pausesMs: [20, 50],
    ...options,
  });
  open.push(queue);
  const outcomes = async (count: number) => {
    await waitUntil(`${count} mails have ended`, () => ended.length >= count, 20_000);
    return ended.map(([outcome]) => outcome);
  };
  return { queue, ended, outcomes };
}

async function mailServer(): Promise<TestMailServer> {
  const server = await TestMailServer.start();
  open.push(server);
  return server;
}

test("a mail is sent, and one that there was none of is not", async () => {
  const server = await mailServer();
  const { queue, outcomes } = queueTo(server.url);
  queue.post(to("ada"));
  queue.post(async () => null);
  expect((await outcomes(2)).toSorted()).toEqual(["nothing", "sent"]);
  expect(server.named).toEqual(["ada@example.org"]);
  expect(queue.depth).toBe(0);
});

test("posting runs nothing of the mail before the caller goes on", async () => {
  const { queue, outcomes } = queueTo((await mailServer()).url);
  let written = false;
  queue.post(async () => {
    written = true;
    return null;
  });
  await Promise.resolve();
  expect(written).toBe(false);
  await outcomes(1);
  expect(written).toBe(true);
});

test("a server that refuses for now is asked three times, with one id, and the mail is written once", async () => {
  const server = await mailServer();
  const answers = [451, 421, 250];
  server.judge = () => answers.shift() ?? 250;
  const { queue, outcomes } = queueTo(server.url);
  let written = 0;
  queue.post(() => {
    written += 1;
    return to("ada")();
  });
  expect(await outcomes(1)).toEqual(["sent"]);
  expect([server.named.length, server.mails.length, written]).toEqual([3, 1, 1]);
});

test("a server that goes on refusing is given up after the third time", async () => {
  const server = await mailServer();
  server.judge = () => 451;
  const { queue, outcomes, ended } = queueTo(server.url);
  queue.post(to("ada"));
  expect(await outcomes(1)).toEqual(["failed"]);
  expect(server.named).toHaveLength(3);
  expect(ended[0]?.[1]).toMatchObject({ code: "EENVELOPE 451" });
});

test("a server that refuses for good is asked once", async () => {
  const server = await mailServer();
  server.judge = () => 550;
  const { queue, outcomes } = queueTo(server.url);
  queue.post(to("ada"));
  expect(await outcomes(1)).toEqual(["failed"]);
  expect(server.named).toHaveLength(1);
});

test("a server that is down fails the mail", async () => {
  const { queue, outcomes, ended } = queueTo(`smtp://127.0.0.1:${await freePort()}`);
  queue.post(to("ada"));
  expect(await outcomes(1)).toEqual(["failed"]);
  expect(ended[0]?.[1]).toMatchObject({ code: "ESOCKET", permanent: false });
});

test("writing that fails is tried again too", async () => {
  const server = await mailServer();
  const { queue, outcomes } = queueTo(server.url);
  let tries = 0;
  queue.post(async () => {
    tries += 1;
    if (tries < 3) throw new Error("the database is away");
    return to("ada")();
  });
  expect(await outcomes(1)).toEqual(["sent"]);
  expect(tries).toBe(3);
});

test("a silent server holds up four mails at most at once, and is left behind", async () => {
  const silent = await silentServer();
  open.push(silent);
  const { queue, outcomes } = queueTo(`smtp://127.0.0.1:${silent.port}`, { silenceMs: 1_500, pausesMs: [] });
  for (let i = 0; i < 10; i++) queue.post(to(`person${i}`));
  await waitUntil("four connections", () => silent.connections() === 4);
  expect(queue.depth).toBe(10);
  expect(await outcomes(10)).toEqual(Array.from({ length: 10 }, () => "failed" as const));
});

test("a slow server gets every mail in the end, and more than may wait are refused at once", async () => {
  const server = await mailServer();
  const gate = Promise.withResolvers<number>();
  server.judge = () => gate.promise;
  const { queue, outcomes } = queueTo(server.url, { most: 5 });
  for (let i = 0; i < 4; i++) queue.post(to(`first${i}`));
  await waitUntil("four are under way", () => server.named.length === 4);
  for (let i = 0; i < 5; i++) queue.post(to(`next${i}`));
  expect(queue.isFull).toBe(true);
  expect(() => queue.post(to("one-too-many"))).toThrow(OverloadedError);
  gate.resolve(250);
  expect(await outcomes(9)).toEqual(Array.from({ length: 9 }, () => "sent" as const));
  expect(server.named).not.toContain("one-too-many@example.org");
});

test("a mail that waited too long is not sent any more", async () => {
  const server = await mailServer();
  const gate = Promise.withResolvers<number>();
  server.judge = () => gate.promise;
  const { queue, outcomes } = queueTo(server.url, { deadlineMs: 300 });
  for (let i = 0; i < 5; i++) queue.post(to(`person${i}`));
  await waitUntil("four are under way", () => server.named.length === 4);
  const posted = performance.now();
  await waitUntil("the deadline is over", () => performance.now() > posted + 300);
  gate.resolve(250);
  expect((await outcomes(5)).toSorted()).toEqual(["late", "sent", "sent", "sent", "sent"]);
});

test("an orderly end lets what is under way be sent, and says how many are lost", async () => {
  const server = await mailServer();
  const gate = Promise.withResolvers<number>();
  server.judge = () => gate.promise;
  const { queue, outcomes } = queueTo(server.url);
  for (let i = 0; i < 6; i++) queue.post(to(`person${i}`));
  await waitUntil("four are under way", () => server.named.length === 4);
  const end = queue[Symbol.asyncDispose]();
  gate.resolve(250);
  await end;
  expect((await outcomes(6)).toSorted()).toEqual(["lost", "lost", "sent", "sent", "sent", "sent"]);
  expect(() => queue.post(to("later"))).toThrow(OverloadedError);
});
