import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { jsonSchema } from "../../../src/http/json_schema.ts";
import { html, prose } from "../../../src/http/reading/html.ts";
import { schemaTable } from "../../../src/http/reading/schema_table.ts";

describe("html", () => {
  test("escapes text, in attributes too, and keeps what it made itself", () => {
    const inner = html`<b>${"<&>"}</b>`;
    expect(html`<a title="${`"'`}">${[inner, 1, undefined]}</a>`.html).toBe(
      '<a title="&quot;&#39;"><b>&lt;&amp;&gt;</b>1</a>',
    );
    expect(prose("a `<b>` c").html).toBe("a <code>&lt;b&gt;</code> c");
  });
});

describe("schemaTable()", () => {
  /** The rows as text: cells joined by a bar. */
  const rowsOf = (schema: z.ZodType, io: "input" | "output" = "input") => {
    const [, body = ""] = schemaTable(jsonSchema(schema, { io })).html.split("<tbody>");
    const rows = body.split("</tr>").slice(0, -1);
    return rows.map((row) =>
      row
        .split("</td>")
        .map((cell) => cell.replace(/<[^>]+>/g, "").trim())
        .join(" | ")
        .replace(/[ |]+$/, "")
        .replaceAll("&quot;", '"'),
    );
  };

  test("shows types, bounds and what a field means", () => {
    const schema = z.object({
      name: z.string().min(3).max(50).describe("A name"),
      count: z.int().min(1).default(5),
      at: z.iso.datetime().nullable(),
      kind: z.enum(["a", "b"]).optional(),
      tags: z.array(z.string().max(9)).max(3),
      fixed: z.literal("x"),
      code: z.string().regex(/^\d+$/),
      any: z.unknown(),
    });
    expect(rowsOf(schema)).toEqual([
      "name | string | A name; 3 to 50 characters",
      "count optional | integer | at least 1; 5 unless given",
      "at | time (ISO 8601, UTC) or null",
      "kind optional | string | one of a, b",
      "tags | array of string | at most 3 entries; each at most 9 characters",
      'fixed | string | always "x"',
      "code | string | matches ^\\d+$",
      "any | anything",
    ]);
  });

  test("shows fields of fields, entries, keys and shapes under their path", () => {
    const shape = z.discriminatedUnion("type", [
      z.object({ type: z.literal("a"), one: z.string() }),
      z.object({ type: z.literal("b"), two: z.array(z.object({ three: z.boolean() })) }),
    ]);
    expect(rowsOf(z.object({ list: z.array(shape), by: z.record(z.string(), z.object({ n: z.int() })) }))).toEqual([
      "list | array of object",
      'list[] where type is "a"',
      'list[].type | string | always "a"',
      "list[].one | string",
      'list[] where type is "b"',
      'list[].type | string | always "b"',
      "list[].two | array of object",
      "list[].two[].three | boolean",
      "by | object by string",
      "by.{key}.n | integer",
    ]);
  });
});
