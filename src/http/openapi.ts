/**
 * The API as an OpenAPI 3.1 document: paths, bodies and parameters from the routes and their zod
 * schemas, the rest and the order from the table of operations. Routes that the table does not know are
 * left out, and a test finds them.
 */
import { z } from "zod";
import { ERRORS, ErrorAnswer, type ErrorCode, type Operation, type Operations } from "../protocol/mod.ts";
import type { BodyRule } from "./body.ts";
import { type Json, jsonSchema } from "./json_schema.ts";

/** A route as the router lists it. */
export interface DescribedRoute {
  readonly method: string;
  /** With `:name` segments. */
  readonly path: string;
  /** The zod schemas of its `body`, `params` and `query`, where it has them. */
  readonly hooks: Readonly<Record<string, unknown>>;
}

/** What {@link describeApi} is given. */
export interface DescribeApiOptions {
  readonly routes: readonly DescribedRoute[];
  readonly operations: Operations;
  readonly version: string;
  /** Where clients reach the server. */
  readonly baseUrl: string;
  readonly bodyRules: Readonly<Record<string, BodyRule>>;
}

const ALWAYS: readonly ErrorCode[] = ["bad_request", "rate_limited", "internal", "unavailable"];
const WITH_BODY: readonly ErrorCode[] = ["bad_json", "payload_too_large", "unsupported_media_type"];
const WITH_TOKEN: readonly ErrorCode[] = ["unauthorized", "token_expired"];
const METHODS: ReadonlySet<string> = new Set(["GET", "POST", "PUT", "DELETE", "PATCH"]);

/** Writes the document; JSON. */
export function describeApi(options: DescribeApiOptions): Json {
  const paths: Record<string, Record<string, Json>> = {};
  const routes = new Map(options.routes.map((route) => [nameOfRoute(route), route]));
  for (const [name, operation] of Object.entries(options.operations)) {
    const route = routes.get(name);
    if (route === undefined) continue;
    const path = patternOf(route);
    const methods = paths[path] ?? {};
    methods[route.method.toLowerCase()] = describeOperation(route, path, operation, options.bodyRules[route.path]);
    paths[path] = methods;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Sotto",
      version: options.version,
      description:
        "End-to-end encrypted messaging. What is spoken on the sockets is at `/asyncapi.json`, and to read at `/docs/sockets`.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: options.baseUrl }],
    paths,
    components: {
      schemas: { Error: jsonSchema(ErrorAnswer, { io: "output" }) },
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
    },
    "x-errors": ERRORS,
  };
}

/** The routes that no operation describes, as `GET /path`. */
export function undescribed(routes: readonly DescribedRoute[], operations: Operations): string[] {
  return routes
    .filter(({ method }) => METHODS.has(method))
    .map(nameOfRoute)
    .filter((name) => !Object.hasOwn(operations, name));
}

function nameOfRoute(route: DescribedRoute): string {
  return `${route.method} ${patternOf(route)}`;
}

/** `/a/:id/` as `/a/{id}`. */
function patternOf({ path }: DescribedRoute): string {
  return path.replace(/(?<=.)\/$/, "").replace(/:(\w+)/g, "{$1}");
}

function describeOperation(route: DescribedRoute, path: string, operation: Operation, rule: BodyRule = {}): Json {
  const { body } = route.hooks;
  const codes = [
    ...ALWAYS,
    ...(operation.auth === "bearer" ? WITH_TOKEN : []),
    ...(body instanceof z.ZodType ? WITH_BODY : []),
    ...(operation.errors ?? []),
  ];
  const bearer = { bearer: [] };
  const security = { none: [], bearer: [bearer], optional: [{}, bearer] }[operation.auth];
  return {
    operationId: nameOf(route.method, path),
    summary: operation.summary,
    tags: [operation.tag],
    security,
    parameters: parametersOf(route, path, operation),
    ...(body instanceof z.ZodType ? { requestBody: requestBody(body, rule) } : {}),
    responses: { ...answersOf(operation), ...refusalsOf([...new Set(codes)], operation) },
  };
}

function nameOf(method: string, path: string): string {
  const words = path.split(/[^A-Za-z]+/).filter((word) => word !== "");
  return [method.toLowerCase(), ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join("");
}

function parametersOf(route: DescribedRoute, path: string, operation: Operation): Json[] {
  const params = fieldsOf(route.hooks["params"]);
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    ...{ name, in: "path", required: true },
    schema: params.get(name)?.schema ?? { type: "string" },
  }));
  const inQuery = [...fieldsOf(route.hooks["query"])].map(([name, { schema, required }]) => ({
    ...{ name, in: "query", required, schema },
  }));
  const headers = Object.entries(operation.headers ?? {}).map(([name, description]) => ({
    ...{ name, in: "header", required: false, description, schema: { type: "string" } },
  }));
  return [...inPath, ...inQuery, ...headers];
}

/** The fields of a schema of parameters: what they become, and whether they must be given. */
function fieldsOf(schema: unknown): Map<string, { readonly schema: unknown; readonly required: boolean }> {
  if (!(schema instanceof z.ZodType)) return new Map();
  // As read, a number is a number and no text; whether it may be left out shows only before.
  const { properties = {} } = jsonSchema(schema, { io: "output" });
  const given = jsonSchema(schema, { io: "input" })["required"];
  const required = new Set(Array.isArray(given) ? given : []);
  const fields = Object.entries(properties as Json);
  return new Map(fields.map(([name, field]) => [name, { schema: field, required: required.has(name) }]));
}

function requestBody(body: z.ZodType, rule: BodyRule): Json {
  const content = { schema: jsonSchema(body, { io: "input" }) };
  const required = !body.safeParse({}).success; // no body reads as an empty one
  return {
    required,
    content: {
      "application/json": content,
      ...(rule.form === true ? { "application/x-www-form-urlencoded": content } : {}),
    },
  };
}

function answersOf({ answers }: Operation): Record<string, Json> {
  const described = Object.entries(answers).map(([status, answer]) => {
    const description = Number(status) < 300 ? "It is done" : "It is not";
    if (answer === null) return [status, { description }];
    if (typeof answer === "string") return [status, { description, content: { [answer]: {} } }];
    return [status, { description, content: { "application/json": { schema: jsonSchema(answer, { io: "output" }) } } }];
  });
  return Object.fromEntries(described);
}

/** Refusals by their status; several codes may share one. */
function refusalsOf(codes: readonly ErrorCode[], { answers }: Operation): Record<string, Json> {
  const byStatus: Record<string, ErrorCode[]> = {};
  for (const code of codes) {
    const status = String(ERRORS[code].status);
    if (status in answers) continue;
    byStatus[status] = [...(byStatus[status] ?? []), code];
  }
  const described = Object.entries(byStatus).map(([status, some]) => [
    status,
    {
      description: some.map((code) => `\`${code}\`: ${ERRORS[code].message}`).join("\n\n"),
      content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      "x-codes": some,
      ...(status === "429"
        ? { headers: { "Retry-After": { description: "Seconds", schema: { type: "integer" } } } }
        : {}),
    },
  ]);
  return Object.fromEntries(described);
}
