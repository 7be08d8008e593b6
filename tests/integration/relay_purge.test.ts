/** The relay's seven days, shown by moving the clock of what removes bodies and partitions. */
import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { startRetention } from "../../src/conversations/retention.ts";
import { request, startApp } from "../support/app.ts";

const DAY_MS = 86_400_000;
const PASSWORD = "violet-harbour-93-lantern";
const SECRET = "bytes that must be gone after seven days";

async function register(url: string, name: string): Promise<{ readonly id: string; readonly token: string }> {
  const pem = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" });
  const { json } = await request(url, "POST", "/register", { name, password: PASSWORD, public_key: pem });
  const login = await request(url, "POST", "/login", { name, password: PASSWORD });
  return { id: json.id, token: login.json.access_token };
}

test("a message of the relay is there for seven days, delivered or not, and then its bytes are nowhere", async () => {
  await using server = await startApp();
  const { url, db } = server;
  const [ann, ben] = [await register(url, "purge-ann"), await register(url, "purge-ben")];
  const data = Buffer.from(SECRET).toString("base64");
  const send = () => request(url, "POST", "/messages", { recipient_id: ben.id, encrypted_data: data }, ann.token);
  const [first, second] = [await send(), await send()];
  await request(url, "PUT", `/messages/${first.json.id}/delivered`, {}, ben.token);
  const waiting = async () => (await request(url, "GET", "/messages", undefined, ben.token)).json.messages;
  const rows = async () =>
    (await db.query<{ body: Buffer | null }>("select body from events where kind = 1 order by seq")).map(
      ({ body }) => body,
    );
  const purgeAt = async (now: number) => {
    await using retention = startRetention(db, { now: () => now });
    expect(await retention.turn()).not.toBeNull();
  };

  const end = Date.parse(second.json.expires_at);
  await purgeAt(Date.parse(first.json.expires_at) - 60_000);
  expect((await rows()).every((body) => body?.includes(data) === true)).toBe(true);
  expect((await waiting()).map((message: { id: string }) => message.id)).toEqual([second.json.id]);

  await purgeAt(end + 1);
  expect((await rows()).filter((body) => body !== null)).toEqual([]);
  expect(await waiting()).toEqual([]);
  // The empty places go with their day at the latest.
  await purgeAt(end + 2 * DAY_MS);
  expect(await rows()).toEqual([]);
});
