/**
 * What describes the server: `/openapi.json` with `/docs`, to try it out, and `/redoc`, to read it;
 * `/asyncapi.json` with `/docs/sockets`. The page at `/docs` is that of @elysiajs/swagger; what it loads
 * comes from here and not from elsewhere, so it works where nothing else is reached. The pages to read
 * are `reading/`.
 *
 * The page at `/docs` may run the two scripts it is made of and no others (Content-Security-Policy), and talk to
 * this server only. Its styles are set by its script, so they need `unsafe-inline`.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { swagger } from "@elysiajs/swagger";
import { Elysia } from "elysia";
import { DomainError } from "../protocol/mod.ts";
import type { Json } from "./json_schema.ts";
import { apiReading, socketsReading, type WrittenPage, writePage } from "./reading/mod.ts";

/** What {@link docsRoutes} is given. */
export interface DocsContext {
  /** Writes the OpenAPI document; asked when every route is there. */
  readonly describeApi: () => Json;
  /** Writes the AsyncAPI document. */
  readonly describeSockets: () => Json;
}

/** The files that the page loads. */
const FILES: ReadonlyMap<string, string> = new Map([
  ["swagger-ui-bundle.js", "text/javascript; charset=utf-8"],
  ["swagger-ui.css", "text/css; charset=utf-8"],
]);
/** They change with a release only. */
const CACHED = "public, max-age=86400";

/** The routes. What they answer is written when it is first asked for. */
export function docsRoutes({ describeApi, describeSockets }: DocsContext) {
  const api = once(describeApi);
  const sockets = once(describeSockets);
  const apiText = once(() => JSON.stringify(api()));
  const socketsText = once(() => JSON.stringify(sockets()));
  // The addresses are relative, so the pages are found behind a proxy that adds a path too.
  const links = { "Try it": "docs", "As OpenAPI": "openapi.json", Sockets: "docs/sockets" };
  const socketLinks = { "HTTP API": "../redoc", "As AsyncAPI": "../asyncapi.json" };
  const trying = once(createPage);
  const reading = once(() => writePage(apiReading(api(), links)));
  const readingSockets = once(() => writePage(socketsReading(sockets(), socketLinks)));
  return new Elysia({ name: "docs" })
    .get("/openapi.json", ({ set }) => give(set, apiText()))
    .get("/asyncapi.json", ({ set }) => give(set, socketsText()))
    .get("/docs", ({ set }) => show(set, trying()))
    .get("/redoc", ({ set }) => show(set, reading()))
    .get("/docs/sockets", ({ set }) => show(set, readingSockets()))
    .get("/docs/:file", async ({ params, set }) => {
      const type = FILES.get(params.file);
      if (type === undefined) throw new DomainError("not_found");
      set.headers["content-type"] = type;
      set.headers["cache-control"] = CACHED;
      return readFile(join(folder(), params.file), "utf8");
    });
}

interface Answer {
  readonly headers: Record<string, string | number>;
}

function give(set: Answer, json: string): string {
  set.headers["content-type"] = "application/json";
  return json;
}

async function show(set: Answer, written: Promise<WrittenPage>): Promise<string> {
  const { html, policy } = await written;
  set.headers["content-type"] = "text/html; charset=utf-8";
  set.headers["content-security-policy"] = policy;
  return html;
}

/** Does something once, however often it is asked for. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

async function createPage(): Promise<WrittenPage> {
  const app = new Elysia().use(
    swagger({
      ...{ provider: "swagger-ui", path: "/docs", specPath: "/openapi.json", theme: "docs/swagger-ui.css" },
      documentation: { info: { title: "Sotto", version: "", description: "The HTTP API" } },
      swaggerOptions: { deepLinking: true, persistAuthorization: false },
    }),
  );
  const made = await (await app.handle(new Request("http://localhost/docs"))).text();
  const html = made.replace(/<script src="[^"]*" crossorigin>/, '<script src="docs/swagger-ui-bundle.js">');
  const inline = /<script>([\s\S]*?)<\/script>/.exec(html)?.[1] ?? "";
  const hash = createHash("sha256").update(inline).digest("base64");
  const policy = [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return { html, policy };
}

function folder(): string {
  return dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
}
