/** The AsyncAPI document as a page to read. */
import type { Json } from "../json_schema.ts";
import { type Html, html, joined, type Piece, prose } from "./html.ts";
import {
  type Errors,
  errorLink,
  jsonExample,
  type Reading,
  type ReadingEntry,
  type ReadingGroup,
  type ReadingPart,
} from "./reading_page.ts";
import { fieldRow, schemaTable } from "./schema_table.ts";

/** The part of `describeSockets`' document that is shown. */
interface SocketsDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly channels: Readonly<Record<string, Channel>>;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly components: { readonly messages: Readonly<Record<string, Message>> };
  readonly "x-errors": Errors;
}

interface Reference {
  readonly $ref: string;
}

interface Channel {
  readonly address: string;
  readonly summary: string;
  readonly description: string;
  readonly messages: Readonly<Record<string, Reference>>;
  readonly bindings: { readonly ws: { readonly query: { readonly properties: Readonly<Record<string, Json>> } } };
  readonly "x-closes": readonly Close[];
}

interface Close {
  readonly code: number;
  readonly reason: string;
  readonly reconnect: boolean;
  readonly description: string;
}

interface Operation {
  readonly action: "send" | "receive";
  readonly channel: Reference;
  readonly messages: readonly Reference[];
  readonly reply?: { readonly messages: readonly Reference[] };
  readonly "x-errors"?: readonly string[];
}

interface Message {
  readonly name: string;
  readonly summary: string;
  readonly payload: Json;
  readonly examples: readonly { readonly payload: unknown }[];
}

/** Arranges what `describeSockets` wrote, by socket. */
export function socketsReading(written: Json, links: Reading["links"]): Reading {
  const document = written as unknown as SocketsDocument;
  const { info, channels, "x-errors": errors } = document;
  return {
    title: `${info.title}: the sockets`,
    ...{ version: info.version, summary: info.description, links, errors },
    groups: Object.entries(channels).map(([name, channel]) => groupOf(document, name, channel)),
  };
}

function groupOf(document: SocketsDocument, name: string, channel: Channel): ReadingGroup {
  const operations = Object.values(document.operations).filter(({ channel: { $ref } }) => nameIn($ref) === name);
  const entries = operations.flatMap((operation) => {
    const side = operation.action === "receive" ? "client" : "server";
    return operation.messages.map(({ $ref }) => {
      const id = idOf(name, nameIn($ref));
      return entryOf(id, side, messageOf(document, channel, $ref), refusalsAndAnswers(name, operation));
    });
  });
  const { address, summary } = channel;
  return { id: `socket-${name}`, title: address, intro: introOf(channel, summary, entries), entries };
}

function introOf(channel: Channel, summary: string, entries: readonly ReadingEntry[]): Html {
  if (entries.length === 0) return html`<p>${prose(summary)}.</p>`;
  const query = Object.entries(channel.bindings.ws.query.properties).map(([name, schema]) =>
    fieldRow(`?${name}`, false, schema),
  );
  const closes = channel["x-closes"].map(
    ({ code, reason, reconnect, description }) =>
      html`<tr><td>${code}</td><td><code>${reason}</code></td><td>${prose(description)}</td><td>${reconnect ? "reconnect" : "stop"}</td></tr>\n`,
  );
  return html`<p>${prose(summary)}. ${prose(channel.description)}.</p>
${query.length === 0 ? undefined : html`<table class="schema"><thead><tr><th>in the address</th><th>type</th><th>meaning</th></tr></thead><tbody>${query}</tbody></table>`}
<h4>Why the server closes it</h4>
<table><thead><tr><th>code</th><th>reason</th><th>meaning</th><th>then</th></tr></thead><tbody>${closes}</tbody></table>`;
}

function entryOf(id: string, side: "client" | "server", message: Message, more: readonly ReadingPart[]): ReadingEntry {
  const { name, summary, payload, examples } = message;
  const example = examples.map((one) => jsonExample(one.payload));
  return {
    ...{ id, label: side, name, summary },
    parts: [{ title: "Fields", body: schemaTable(payload) }, { title: "Example", body: html`${example}` }, ...more],
  };
}

function refusalsAndAnswers(channel: string, { reply, "x-errors": errors = [] }: Operation): ReadingPart[] {
  if (reply === undefined) return [];
  const answers: Piece[] = reply.messages.map(({ $ref }) => {
    const name = nameIn($ref);
    return html`<a href="#${idOf(channel, name)}"><code>${name.split(".")[1]}</code></a>`;
  });
  return [
    { title: "Answered by", body: html`<p>${joined(answers, " or ")}</p>` },
    { title: "Refused as", body: html`<p>${joined(errors.map(errorLink))}</p>` },
  ];
}

function messageOf({ components }: SocketsDocument, channel: Channel, inChannel: string): Message {
  const component = channel.messages[nameIn(inChannel)];
  const message = component === undefined ? undefined : components.messages[nameIn(component.$ref)];
  if (message === undefined) throw new Error(`Describe the message: ${inChannel}`);
  return message;
}

function nameIn(ref: string): string {
  return ref.slice(ref.lastIndexOf("/") + 1);
}

function idOf(channel: string, message: string): string {
  return `${channel}-${message.replace(".", "-")}`;
}
