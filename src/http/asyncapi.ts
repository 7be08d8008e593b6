/**
 * The sockets as an AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0),
 * written from the schemas of their frames and the notes beside them. An operation `receive` is a frame
 * that the server takes, with what answers it; `send` is what it sends by itself or in answer.
 *
 * The document has no place for why a socket is closed and for codes of refusals: they are in `x-closes`,
 * `x-errors`.
 */
import type { z } from "zod";
import {
  CLOSE_CODES,
  CLOSE_NOTES,
  type ClientFrameNote,
  ERRORS,
  type ErrorCode,
  type FrameNote,
  mayReconnect,
  type SocketDescription,
} from "../protocol/mod.ts";
import { type Json, jsonSchema } from "./json_schema.ts";

/** What {@link describeSockets} is given. */
export interface DescribeSocketsOptions {
  readonly sockets: readonly SocketDescription[];
  readonly version: string;
  /** Where clients reach the server: http or https. */
  readonly baseUrl: string;
}

/** What any frame may be refused as. */
const ALWAYS: readonly ErrorCode[] = [
  ...(["bad_json", "bad_frame", "unknown_frame", "rate_limited", "overloaded", "unavailable", "internal"] as const),
];

/** Writes the document; JSON. */
export function describeSockets({ sockets, version, baseUrl }: DescribeSocketsOptions): Json {
  const { protocol, host, pathname } = new URL(baseUrl);
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Sotto",
      version,
      description:
        "What is spoken on the sockets: each frame is one text message that holds one JSON object with a `type`. A client ignores types and fields that it does not know. A first frame `authenticate` says who speaks, unless a header or a ticket did.",
      license: { name: "MIT" },
    },
    defaultContentType: "application/json",
    servers: {
      sotto: { host, pathname: pathname.replace(/\/$/, ""), protocol: protocol === "https:" ? "wss" : "ws" },
    },
    channels: Object.fromEntries(sockets.flatMap(channelsOf)),
    operations: Object.fromEntries(sockets.flatMap(operationsOf)),
    components: {
      messages: Object.fromEntries(sockets.flatMap(messagesOf)),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "An access token, in the upgrade" },
      },
    },
    "x-errors": ERRORS,
  };
}

type Entry = readonly [name: string, described: Json];
type Side = "client" | "server";

function channelsOf(socket: SocketDescription): Entry[] {
  const messages = Object.fromEntries(
    (["client", "server"] as const).flatMap((side) =>
      Object.keys(socket[side].notes).map((type) => [
        `${side}.${type}`,
        ref("components", "messages", `${socket.name}.${side}.${type}`),
      ]),
    ),
  );
  return Object.entries(socket.addresses).map(([address, summary], index) => [
    channelName(socket, index),
    {
      address,
      title: address,
      summary,
      description: socket.summary,
      messages,
      ...parametersOf(address),
      bindings: { ws: { method: "GET", query: queryOf(socket), bindingVersion: "0.1.0" } },
      "x-closes": socket.closes.map((reason) => ({
        ...{ code: CLOSE_CODES[reason], reason, reconnect: mayReconnect(CLOSE_CODES[reason]) },
        description: CLOSE_NOTES[reason],
      })),
    },
  ]);
}

function channelName({ name }: SocketDescription, index: number): string {
  return index === 0 ? name : `${name}${index + 1}`;
}

function parametersOf(address: string): Json {
  const names = [...address.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  if (names.length === 0) return {};
  return { parameters: Object.fromEntries(names.map((name) => [name, { description: `The \`${name}\`` }])) };
}

function queryOf({ query }: SocketDescription): Json {
  const properties = Object.entries(query).map(([name, description]) => [name, { type: "string", description }]);
  return { type: "object", properties: Object.fromEntries(properties) };
}

/** One for each frame of clients, and one for all that the server sends. */
function operationsOf(socket: SocketDescription): Entry[] {
  const { name } = socket;
  const channel = ref("channels", name);
  const message = (side: Side, type: string) => ref("channels", name, "messages", `${side}.${type}`);
  const security = socket.auth === "bearer" ? { security: [ref("components", "securitySchemes", "bearer")] } : {};
  const received = Object.entries(socket.client.notes).map(
    ([type, note]): Entry => [
      `${name}.${type}`,
      {
        ...{ action: "receive", channel, summary: note.summary },
        messages: [message("client", type)],
        reply: { channel, messages: [...(note.answers ?? []), "error"].map((answer) => message("server", answer)) },
        ...security,
        "x-errors": errorsOf(note),
      },
    ],
  );
  const sent = {
    ...{ action: "send", channel, summary: "What the server sends, by itself or in answer" },
    messages: Object.keys(socket.server.notes).map((type) => message("server", type)),
    ...security,
  };
  return [...received, [`${name}.events`, sent]];
}

function errorsOf({ errors = [] }: ClientFrameNote): ErrorCode[] {
  return [...errors, ...ALWAYS];
}

function messagesOf(socket: SocketDescription): Entry[] {
  return (["client", "server"] as const).flatMap((side) => {
    const { schema, notes } = socket[side];
    const frames = frameSchemas(schema, side);
    return Object.entries<FrameNote>(notes).map(([type, { summary, example }]): Entry => {
      const payload = frames.get(type);
      if (payload === undefined) throw new Error(`Give the frame a schema: ${socket.name} ${side} ${type}`);
      const name = `${socket.name}.${side}.${type}`;
      return [name, { name: type, title: type, summary, payload, examples: [{ payload: example }] }];
    });
  });
}

/** The schemas of a union of frames by their `type`; one of several types stands under each of them. */
function frameSchemas(schema: z.ZodType, side: Side): Map<string, Json> {
  const io = side === "client" ? "input" : "output";
  const found = new Map<string, Json>();
  const visit = (one: Json): void => {
    const branches = one["oneOf"] ?? one["anyOf"];
    if (Array.isArray(branches)) return branches.forEach(visit);
    const properties = one["properties"] as Readonly<Record<string, Json>>;
    const type = properties["type"] ?? {};
    const types = Array.isArray(type["enum"]) ? type["enum"] : [type["const"]];
    for (const each of types) {
      found.set(String(each), { ...one, properties: { ...properties, type: { type: "string", const: each } } });
    }
  };
  visit(jsonSchema(schema, { io, target: "draft-7" }));
  return found;
}

function ref(...path: readonly string[]): Json {
  return { $ref: `#/${path.join("/")}` };
}
