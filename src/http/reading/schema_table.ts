/**
 * A JSON Schema as a table: one row a field, fields of fields below it under their path, as `user.id`,
 * `messages[].seq` or `cursors.{key}`. Where one of several shapes is meant, each follows under a line that says which.
 */
import type { Json } from "../json_schema.ts";
import { type Html, html, joined, type Piece, prose } from "./html.ts";

/** The part of JSON Schema that zod writes. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly propertyNames?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** The table of what a schema describes. */
export function schemaTable(schema: Json): Html {
  const whole = schema as Schema;
  const rows =
    whole.properties === undefined ? [row({ path: "", schema: whole }), ...within(whole, "")] : within(whole, "");
  if (rows.length === 0) return html`<p>An empty object.</p>`;
  return html`<table class="schema"><thead><tr><th>field</th><th>type</th><th>meaning</th></tr></thead><tbody>${rows}</tbody></table>`;
}

/** A row for a value that stands alone, as a parameter does. */
export function fieldRow(name: string, required: boolean, schema: Json, description?: string): Html {
  const one = schema as Schema;
  const described = description === undefined ? one : { ...one, description };
  return html`${row({ path: name, schema: described, required })}`;
}

interface Field {
  /** Empty: the whole. */
  readonly path: string;
  readonly schema: Schema;
  readonly required?: boolean;
}

function row({ path, schema, required = true }: Field): Html {
  const name = path === "" ? html`<em>the whole</em>` : html`<code>${path}</code>`;
  const optional = required ? undefined : html` <span class="optional">optional</span>`;
  const says: Piece[] = schema.description === undefined ? [] : [prose(schema.description)];
  return html`<tr><td>${name}${optional}</td><td>${typeOf(schema)}</td><td>${joined([...says, ...rules(schema)], "; ")}</td></tr>`;
}

/** The rows below a value: of its fields, its entries or its shapes. */
function within(schema: Schema, path: string): Piece[] {
  const { properties, required = [], items, additionalProperties: more } = schema;
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, field]) => {
      const inner = path === "" ? name : `${path}.${name}`;
      return [row({ path: inner, schema: field, required: required.includes(name) }), ...within(field, inner)];
    });
  }
  if (items !== undefined) return within(items, `${path}[]`);
  if (typeof more === "object") return within(more, `${path}.{key}`);
  return shapesOf(schema).flatMap((shape, index, all) =>
    all.length === 1
      ? within(shape, path)
      : [html`<tr class="shape"><td colspan="3">${nameOfShape(shape, path, index)}</td></tr>`, ...within(shape, path)],
  );
}

/** The shapes of a union that have something to show below them. */
function shapesOf({ anyOf, oneOf }: Schema): Schema[] {
  const shapes = (anyOf ?? oneOf ?? []).flatMap((shape) => (shape.oneOf === undefined ? [shape] : shapesOf(shape)));
  return shapes.filter((shape) => shape.properties !== undefined || shape.items !== undefined);
}

function nameOfShape(shape: Schema, path: string, index: number): Html {
  const marks = Object.entries(shape.properties ?? {}).filter(([, field]) => field.const !== undefined);
  const subject = path === "" ? undefined : html`<code>${path}</code> `;
  if (marks.length === 0) return html`${subject}${index === 0 ? "either" : "or"}`;
  return html`${subject}where ${marks.map(([name, field]) => html`<code>${name}</code> is <code>${JSON.stringify(field.const)}</code>`)}`;
}

const FORMATS: Readonly<Record<string, string>> = {
  "date-time": "time (ISO 8601, UTC)",
  date: "day (ISO 8601)",
  uuid: "UUID",
  email: "e-mail address",
};

function typeOf(schema: Schema): string {
  const { type, format, items, properties } = schema;
  const shapes = schema.anyOf ?? schema.oneOf;
  if (shapes !== undefined) return [...new Set(shapes.map(typeOf))].join(" or ");
  if (format !== undefined) return [FORMATS[format] ?? format, ...(isNullable(type) ? ["null"] : [])].join(" or ");
  if (items !== undefined) return `array of ${typeOf(items)}`;
  if (properties === undefined && schema.propertyNames !== undefined)
    return `object by ${typeOf(schema.propertyNames)}`;
  if (type === undefined) return "anything";
  return typeof type === "string" ? type : type.join(" or ");
}

function isNullable(type: Schema["type"]): boolean {
  return Array.isArray(type) && type.includes("null");
}

function rules(schema: Schema): Piece[] {
  const said: Piece[] = [];
  const { items } = schema;
  if (schema.const !== undefined) said.push(html`always <code>${JSON.stringify(schema.const)}</code>`);
  if (schema.enum !== undefined)
    said.push(html`one of ${joined(schema.enum.map((one) => html`<code>${String(one)}</code>`))}`);
  said.push(range(schema.minLength, schema.maxLength, "characters"));
  said.push(range(schema.minimum, schema.maximum, ""));
  said.push(range(schema.minItems, schema.maxItems, "entries"));
  if (schema.pattern !== undefined) said.push(html`matches <code>${schema.pattern}</code>`);
  if (schema.default !== undefined) said.push(html`<code>${JSON.stringify(schema.default)}</code> unless given`);
  if (schema.examples !== undefined) {
    said.push(html`for example ${joined(schema.examples.map((one) => html`<code>${JSON.stringify(one)}</code>`))}`);
  }
  if (items !== undefined && items.properties === undefined) {
    if (items.description !== undefined) said.push(html`each: ${prose(items.description)}`);
    said.push(...rules(items).map((rule) => html`each ${rule}`));
  }
  for (const shape of schema.anyOf ?? []) said.push(...rules(shape).map((rule) => html`${rule} (${typeOf(shape)})`));
  return said.filter((rule) => rule !== undefined);
}

/** Bounds; what every integer of JSON has anyway is none. */
function range(least: number | undefined, most: number | undefined, unit: string): string | undefined {
  const from = least === undefined || least === Number.MIN_SAFE_INTEGER ? undefined : count(least);
  const to = most === undefined || most === Number.MAX_SAFE_INTEGER ? undefined : count(most);
  if (from === undefined && to === undefined) return undefined;
  const bounds =
    to === undefined
      ? `at least ${from}`
      : from === undefined
        ? `at most ${to}`
        : from === to
          ? from
          : `${from} to ${to}`;
  return `${bounds} ${unit}`.trim();
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
