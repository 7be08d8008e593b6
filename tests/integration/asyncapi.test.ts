/** The sockets as the server itself describes them: complete, valid, true of what is said on them, and readable offline. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { schemasWithoutId } from "@asyncapi/specs";
import { Ajv, type ValidateFunction } from "ajv";
import type { z } from "zod";
import { roomSocket } from "../../src/compat/room/mod.ts";
import {
  CLOSE_CODES,
  ClientFrame,
  ERRORS,
  MAIN_SOCKET,
  newMessageId,
  PUBLIC_SOCKET,
  type SocketDescription,
} from "../../src/protocol/mod.ts";
import { STARTING_MS } from "../spec/support.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { type Frame, Peer } from "../support/peer.ts";
import { RoomGuest, say } from "../support/room.ts";
import { waitUntil } from "../support/wait.ts";

const SOCKETS = [MAIN_SOCKET, roomSocket, PUBLIC_SOCKET];

interface Reference {
  readonly $ref: string;
}

/** The part of the document that is looked at here. */
interface Document {
  readonly asyncapi: string;
  readonly servers: object;
  readonly channels: Readonly<
    Record<
      string,
      {
        readonly address: string;
        readonly messages: Readonly<Record<string, Reference>>;
        readonly "x-closes": readonly { readonly code: number; readonly reconnect: boolean }[];
      }
    >
  >;
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly action: string;
        readonly messages: readonly Reference[];
        readonly reply?: { readonly messages: readonly Reference[] };
        readonly "x-errors"?: readonly string[];
      }
    >
  >;
  readonly components: {
    readonly messages: Readonly<
      Record<string, { readonly payload: object; readonly examples: readonly { readonly payload: object }[] }>
    >;
  };
  readonly "x-errors": object;
}

let server: TestApp;
let document: Document;
/** By `<socket>.<client or server>.<type>`. */
const payloads = new Map<string, ValidateFunction>();
beforeAll(async () => {
  server = await startApp({ env: { BASE_URL: "https://chat.example/sotto" } });
  document = (await (await fetch(`${server.url}/asyncapi.json`)).json()) as Document;
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, formats: FORMATS });
  for (const [name, { payload }] of Object.entries(document.components.messages)) {
    payloads.set(name, ajv.compile(payload));
  }
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

const FORMATS = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  date: /^\d{4}-\d\d-\d\d$/,
};

/** What is wrong with a frame by the document; empty when nothing is. */
function faultsOf(name: string, frame: unknown): string {
  const validate = payloads.get(name);
  if (validate === undefined) return `${name} is not in the document`;
  return validate(frame) ? "" : `${name} ${JSON.stringify(frame)}: ${JSON.stringify(validate.errors)}`;
}

/** Looks up every reference, those that references lead to too. */
function resolve({ $ref }: Reference): unknown {
  return $ref
    .slice(2)
    .split("/")
    .reduce<unknown>((place, key) => (place as Record<string, unknown>)[key], document);
}

/** The types of a union of frames. */
function typesOf(schema: z.ZodDiscriminatedUnion): string[] {
  return [...(schema._zod.propValues["type"] ?? [])].map(String).sort();
}

describe("the document", () => {
  test("is valid by the schema of AsyncAPI 3.0, which finds what is wrong", () => {
    expect(document.asyncapi).toBe("3.0.0");
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schemasWithoutId["3.0.0"] as object);
    expect([validate(document), validate.errors]).toEqual([true, null]);
    for (const wrong of [{ channels: 1 }, { operations: { x: { action: "shout" } } }, { info: {} }]) {
      expect(validate({ ...document, ...wrong })).toBe(false);
    }
  });

  test("holds references that lead somewhere", () => {
    const references: Reference[] = [];
    JSON.stringify(document, (_, value) => {
      if (typeof value?.$ref === "string") references.push(value);
      return value;
    });
    expect(references.length).toBeGreaterThan(100);
    for (const reference of references) expect([reference, typeof resolve(reference)]).toEqual([reference, "object"]);
  });

  test("names where clients connect, and every socket that is open to them", async () => {
    expect(document.servers).toEqual({ sotto: { host: "chat.example", pathname: "/sotto", protocol: "wss" } });
    const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: object };
    const addresses = Object.values(document.channels).map(({ address }) => address);
    expect(addresses.sort()).toEqual(
      Object.keys(paths)
        .filter((path) => /^\/ws\b/.test(path))
        .sort(),
    );
  });

  test("holds every type of frame, in both directions", () => {
    for (const socket of SOCKETS) {
      for (const side of ["client", "server"] as const) {
        const described = Object.keys(socket[side].notes).sort();
        expect([socket.name, side, described]).toEqual([
          ...[socket.name, side],
          typesOf(socket[side].schema as z.ZodDiscriminatedUnion),
        ]);
        for (const type of described) expect([...payloads.keys()]).toContain(`${socket.name}.${side}.${type}`);
      }
    }
    expect(MAIN_SOCKET.client.schema).toBe(ClientFrame);
  });

  test("has one operation for each frame of clients, with what answers it, and one for what the server sends", () => {
    for (const socket of SOCKETS) {
      for (const [type, { answers = [] }] of Object.entries(socket.client.notes)) {
        const operation = document.operations[`${socket.name}.${type}`];
        const replies = operation?.reply?.messages.map(({ $ref }) => $ref.split(".").at(-1));
        expect([type, operation?.action, replies]).toEqual([type, "receive", [...answers, "error"]]);
        for (const code of operation?.["x-errors"] ?? []) expect(Object.keys(ERRORS)).toContain(code);
      }
      const events = document.operations[`${socket.name}.events`];
      expect([events?.action, events?.messages.length]).toEqual(["send", Object.keys(socket.server.notes).length]);
    }
  });

  test("holds every code of a refusal and of an end", () => {
    expect(document["x-errors"]).toEqual(ERRORS);
    const closes = Object.values(document.channels).flatMap((channel) => channel["x-closes"]);
    expect(new Set(closes.map(({ code }) => code))).toEqual(new Set(Object.values(CLOSE_CODES)));
    for (const { code, reconnect } of closes) expect([code, reconnect]).toEqual([code, code < 4400 || code >= 4500]);
  });

  test("gives examples that are as it says, and refuses what is not", () => {
    for (const [name, { examples }] of Object.entries(document.components.messages)) {
      expect(examples.length).toBeGreaterThan(0);
      for (const { payload } of examples) {
        expect(faultsOf(name, payload)).toBe("");
        expect(faultsOf(name, { ...payload, type: "other" })).not.toBe("");
        if (name.includes(".server.")) expect(faultsOf(name, { ...payload, unknown: 1 })).not.toBe("");
      }
    }
  });
});

/** Holds all that was said on sockets to the document; gives the types that were. */
function heard(socket: SocketDescription, peers: readonly Peer[]): string[] {
  const frames: Frame[] = peers.flatMap((peer) => peer.frames);
  for (const frame of frames) expect(faultsOf(`${socket.name}.server.${frame.type}`, frame)).toBe("");
  return [...new Set(frames.map(({ type }) => type as string))].sort();
}

/** Sends what the document allows. */
function tell(socket: SocketDescription, peer: Peer, frame: { readonly type: string } & Record<string, unknown>): void {
  expect(faultsOf(`${socket.name}.client.${frame.type}`, frame)).toBe("");
  peer.send(frame);
}

describe("what is said on a socket is what the document says", () => {
  const mainSocket = (person: Person) => Peer.open(`${person.url.replace("http", "ws")}/ws`);

  test("in a group, from the first frame to the last", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    using one = await mainSocket(ann);
    const toServer = (frame: { readonly type: string } & Record<string, unknown>) => tell(MAIN_SOCKET, one, frame);
    toServer({ type: "authenticate", ref: "first", token: ann.token });
    await one.next("caught_up");
    using two = await ben.live();
    const conversation_id = await ann.group([ben], { encryption: "server" });
    await two.next("membership");
    const id = newMessageId();
    toServer({ type: "message", ref: 1, id, conversation_id, message_type: "text", content: "Hello" });
    const { seq } = await one.next("receipt");
    await two.next("message");
    toServer({
      type: "message",
      id: newMessageId(),
      conversation_id,
      content: "Soon gone",
      reply_to: id,
      expires_in: 60,
    });
    await two.match(({ expires_at }) => expires_at !== undefined);
    for (const type of ["typing_start", "typing_stop"]) {
      toServer({ type, conversation_id });
      await two.next(type);
    }
    toServer({ type: "reaction", id: newMessageId(), conversation_id, message_id: id, emoji: "👍" });
    await two.next("reaction");
    const handed = { type: "key_exchange", ref: "key", id: newMessageId(), payload: "q83v" };
    toServer({ ...handed, to_user_id: ben.id, to_session_id: ben.sessionId });
    await one.next("key_exchange_stored");
    tell(MAIN_SOCKET, two, { type: "key_exchange_ack", seq: (await two.next("key_exchange")).seq });
    expect((await ann.request("PUT", `/api/messages/${id}`, { content: "Hello again" })).status).toBe(200);
    await two.next("edit");
    const group = `/api/conversations/${conversation_id}`;
    expect((await ann.request("PUT", group, { name: "Friends of the sea" })).status).toBe(200);
    await two.next("change");
    expect((await ann.request("PUT", `${group}/settings`, { archived: true })).status).toBe(200);
    await one.next("settings");
    toServer({ type: "message_ack", conversation_id, seq });
    toServer({ type: "message_read", conversation_id, seq });
    await two.next("message_read");
    toServer({ type: "message_read", ref: "far", conversation_id, seq: seq + 1_000 });
    expect(await one.next("error")).toMatchObject({ code: "ack_ahead", ref: "far" });
    toServer({ type: "message", id, conversation_id, content: "Another body" });
    await one.match((frame) => frame.type === "error" && frame.id === id);
    one.send({ type: "message", id: 5 });
    await one.match((frame) => frame.code === "bad_frame");
    one.send("{");
    await one.match((frame) => frame.code === "bad_json");
    toServer({ type: "resume", cursors: { [conversation_id]: 0 } });
    await one.next("caught_up");
    expect((await ann.request("DELETE", `/api/messages/${id}?for=me`)).status).toBeLessThan(300);
    await one.next("message_hidden");
    expect((await ann.request("DELETE", `/api/messages/${id}`)).status).toBeLessThan(300);
    await two.next("deletion");
    toServer({ type: "ping", ref: "last" });
    await one.next("pong");
    await ann.request("DELETE", `${group}/participants/${ben.id}`);
    await two.next("conversation_left");
    // These two are told a moment later, or not at all by then.
    const types = heard(MAIN_SOCKET, [one, two]).filter((type) => !/^(message_delivered|presence_update)$/.test(type));
    expect(types).toEqual([
      ...[
        "caught_up",
        "change",
        "conversation_left",
        "deletion",
        "edit",
        "error",
        "key_exchange",
        "key_exchange_stored",
      ],
      ...["membership", "message"],
      ...["message_hidden", "message_read", "pong", "reaction", "receipt", "settings", "typing_start", "typing_stop"],
      "welcome",
    ]);
  });

  test("in a dm whose other side publishes a new key and leaves for good", async () => {
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    using one = await ann.live();
    const id = await ann.dm(ben);
    using two = await ben.live();
    await two.say(id, "q83v");
    await one.next("message");
    const put = await ben.request("PUT", "/update-key", { public_key: await newPem() });
    expect(put.status).toBe(200);
    await one.next("notice");
    const left = await ben.request("POST", "/api/auth/delete-account", { password: "correct horse battery staple" });
    expect(left.status).toBe(202);
    await one.match(({ type, change }) => type === "membership" && change === "left");
    await waitUntil("what they said is gone", async () => {
      const { messages } = (await ann.request("GET", `/api/conversations/${id}/messages`)).json;
      return messages.some(({ type }: { readonly type: string }) => type === "tombstone");
    });
    tell(MAIN_SOCKET, one, { type: "resume", cursors: { [id]: 0 } });
    await one.next("tombstone");
    expect(heard(MAIN_SOCKET, [one, two])).toEqual(expect.arrayContaining(["notice", "tombstone", "membership"]));
  });

  test("in a public channel, without an account", async () => {
    const ann = await server.person();
    const slug = `news-${crypto.randomUUID().slice(0, 8)}`;
    const made = { conversation_type: "channel", name: "News", channel: slug, public: true };
    const { id } = (await ann.request("POST", "/api/conversations", made)).json;
    using reader = await Peer.open(`${server.url.replace("http", "ws")}/ws/public/${slug}`);
    await reader.next("subscribed");
    const said = await ann.request("POST", `/api/conversations/${id}/messages`, { content: "We open at nine" });
    await reader.next("announcement");
    const message = `/api/messages/${said.json.id}`;
    expect((await ann.request("PUT", message, { content: "We open at ten" })).status).toBe(200);
    await reader.next("edit");
    tell(PUBLIC_SOCKET, reader, { type: "subscribe", ref: 1, after_seq: 0 });
    expect((await reader.next("page")).announcements).not.toEqual([]);
    await ann.request("DELETE", message);
    await reader.next("deletion");
    tell(PUBLIC_SOCKET, reader, { type: "ping", ref: "sign of life" });
    await reader.next("pong");
    reader.send({ type: "message" });
    await reader.next("error");
    expect(heard(PUBLIC_SOCKET, [reader])).toEqual([
      "announcement",
      "deletion",
      "edit",
      "error",
      "page",
      "pong",
      "subscribed",
    ]);
  });

  test("in the room", async () => {
    const [ann, ben] = await Promise.all([RoomGuest.register(server.url), RoomGuest.register(server.url)]);
    using one = await Peer.open(`${server.url.replace("http", "ws")}/ws/chat`);
    tell(roomSocket, one, { type: "authenticate", ref: 1, token: ann.token });
    await one.next("welcome");
    tell(roomSocket, one, { type: "message", id: newMessageId(), content: "Anybody here?" });
    await one.next("message");
    const two = await ben.enter();
    await one.match(({ type, username }) => type === "join" && username === ben.username);
    await say(two, "I am");
    await one.match(({ content }) => content === "I am");
    one.send({ type: "message" });
    await one.next("error");
    tell(roomSocket, one, { type: "ping" });
    await one.next("pong");
    await two.close();
    await one.match(({ type, username }) => type === "leave" && username === ben.username);
    expect(heard(roomSocket, [one, two])).toEqual(["error", "join", "leave", "message", "pong", "welcome"]);
  }, 30_000);
});

async function newPem(): Promise<string> {
  const { publicKey } = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const der = Buffer.from(await crypto.subtle.exportKey("spki", publicKey)).toString("base64");
  return `-----BEGIN PUBLIC KEY-----\n${der.match(/.{1,64}/g)?.join("\n")}\n-----END PUBLIC KEY-----\n`;
}
