/** The OpenAPI document as a page to read. */
import type { Json } from "../json_schema.ts";
import { type Html, html, joined } from "./html.ts";
import { type Errors, errorLink, type Reading, type ReadingEntry, type ReadingPart } from "./reading_page.ts";
import { fieldRow, schemaTable } from "./schema_table.ts";

/** The part of `describeApi`'s document that is shown. */
interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>;
  readonly "x-errors": Errors;
}

interface ApiOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  readonly parameters: readonly ApiParameter[];
  readonly requestBody?: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, ApiAnswer>>;
}

interface ApiParameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Json;
}

interface ApiAnswer {
  readonly description: string;
  readonly content?: Content;
  readonly "x-codes"?: readonly string[];
}

type Content = Readonly<Record<string, { readonly schema?: Json }>>;

/** Arranges what `describeApi` wrote, by tag. */
export function apiReading(written: Json, links: Reading["links"]): Reading {
  const { info, paths, "x-errors": errors } = written as unknown as ApiDocument;
  const groups = new Map<string, ReadingEntry[]>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [tag = "other"] = operation.tags;
      groups.set(tag, [...(groups.get(tag) ?? []), entryOf(method, path, operation)]);
    }
  }
  return {
    title: `${info.title}: the HTTP API`,
    ...{ version: info.version, summary: info.description, links, errors },
    groups: [...groups].map(([tag, entries]) => ({ id: `tag-${tag}`, title: titleOf(tag), entries })),
  };
}

function titleOf(tag: string): string {
  return tag.charAt(0).toUpperCase() + tag.slice(1);
}

function entryOf(method: string, path: string, operation: ApiOperation): ReadingEntry {
  const { operationId, summary, security, parameters, requestBody, responses } = operation;
  const answers = Object.entries(responses);
  const parts: (ReadingPart | undefined)[] = [
    security.length === 0 ? undefined : { title: "Who may", body: mayBe(security) },
    parameters.length === 0 ? undefined : { title: "Parameters", body: parametersTable(parameters) },
    requestBody === undefined ? undefined : { title: bodyTitle(requestBody), body: contentTable(requestBody.content) },
    ...answers.filter(([, answer]) => !("x-codes" in answer)).map(answerPart),
    { title: "Refusals", body: refusals(answers) },
  ];
  return {
    ...{ id: operationId, label: method.toUpperCase(), name: path, summary },
    parts: parts.filter((part) => part !== undefined),
  };
}

function mayBe(security: readonly object[]): Html {
  const everybody = security.some((one) => Object.keys(one).length === 0);
  return html`<p>${everybody ? "Everybody; with an access token it does more, or the same in another way." : "Who has an access token."}</p>`;
}

function parametersTable(parameters: readonly ApiParameter[]): Html {
  const rows = parameters.map(({ name, in: place, required, description, schema }) =>
    fieldRow(place === "path" ? `{${name}}` : place === "query" ? `?${name}` : name, required, schema, description),
  );
  return html`<table class="schema"><thead><tr><th>where</th><th>type</th><th>meaning</th></tr></thead><tbody>${rows}</tbody></table>`;
}

function bodyTitle({ required, content }: NonNullable<ApiOperation["requestBody"]>): string {
  return `Body, ${required ? "" : "optional, "}${Object.keys(content).join(" or ")}`;
}

/** Media types differ in how they are written, and not in what they hold. */
function contentTable(content: Content): Html {
  const [schema] = Object.values(content).map((one) => one.schema);
  return schema === undefined ? html`` : schemaTable(schema);
}

function answerPart([status, { description, content }]: readonly [string, ApiAnswer]): ReadingPart {
  const type = content === undefined ? "nothing in it" : Object.keys(content).join(" or ");
  return { title: `${status}: ${description.toLowerCase()}, ${type}`, body: contentTable(content ?? {}) };
}

function refusals(answers: readonly (readonly [string, ApiAnswer])[]): Html {
  const rows = answers.flatMap(([status, { "x-codes": codes }]) =>
    codes === undefined ? [] : [html`<li>${status}: ${joined(codes.map(errorLink))}</li>`],
  );
  return html`<ul class="plain">${rows}</ul>`;
}
