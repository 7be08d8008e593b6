/** Zod schemas as JSON Schema, for the documents that describe the server. */
import { z } from "zod";

/** A JSON object of a document. */
export type Json = Readonly<Record<string, unknown>>;

/** What {@link jsonSchema} is told. */
export interface JsonSchemaOptions {
  /** Whether what is described is given to the server or by it: a default makes a field optional in what is given. */
  readonly io: "input" | "output";
  /** OpenAPI 3.1 speaks the draft of 2020, AsyncAPI 3.0 the seventh. */
  readonly target?: "draft-2020-12" | "draft-7";
}

/** Describes what a schema takes or gives. */
export function jsonSchema(schema: z.ZodType, { io, target = "draft-2020-12" }: JsonSchemaOptions): Json {
  const { $schema: _, ...described } = z.toJSONSchema(schema, {
    ...{ io, target, unrepresentable: "any" },
    override: ({ jsonSchema: one }) => {
      if (one.format !== undefined) delete one.pattern; // it says the same at great length
    },
  });
  return described;
}
