/**
 * `/openapi.json`, and `/docs`, which shows it. The page is that of @elysiajs/swagger; what it loads
 * comes from here and not from elsewhere, so it works where nothing else is reached.
 *
 * The page may run the two scripts it is made of and no others (Content-Security-Policy), and talk to
 * this server only. Its styles are set by its script, so they need `unsafe-inline`.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { swagger } from "@elysiajs/swagger";
import { Elysia } from "elysia";
import { DomainError } from "../protocol/mod.ts";

/** What {@link docsRoutes} is given. */
export interface DocsContext {
  /** Writes the OpenAPI document; asked once, when every route is there. */
  readonly describe: () => object;
}

/** The files that the page loads. */
const FILES: ReadonlyMap<string, string> = new Map([
  ["swagger-ui-bundle.js", "text/javascript; charset=utf-8"],
  ["swagger-ui.css", "text/css; charset=utf-8"],
]);
/** They change with a release only. */
const CACHED = "public, max-age=86400";

/** The routes. */
export function docsRoutes({ describe }: DocsContext) {
  let document: string | undefined;
  let page: Promise<DocsPage> | undefined;
  return new Elysia({ name: "docs" })
    .get("/openapi.json", ({ set }) => {
      document ??= JSON.stringify(describe());
      set.headers["content-type"] = "application/json";
      return document;
    })
    .get("/docs", async ({ set }) => {
      page ??= createPage();
      const { html, policy } = await page;
      set.headers["content-type"] = "text/html; charset=utf-8";
      set.headers["content-security-policy"] = policy;
      return html;
    })
    .get("/docs/:file", async ({ params, set }) => {
      const type = FILES.get(params.file);
      if (type === undefined) throw new DomainError("not_found");
      set.headers["content-type"] = type;
      set.headers["cache-control"] = CACHED;
      return readFile(join(folder(), params.file), "utf8");
    });
}

interface DocsPage {
  readonly html: string;
  readonly policy: string;
}

async function createPage(): Promise<DocsPage> {
  const app = new Elysia().use(
    swagger({
      ...{ provider: "swagger-ui", path: "/docs", specPath: "/openapi.json", theme: "docs/swagger-ui.css" },
      documentation: { info: { title: "Sotto", version: "", description: "The HTTP API" } },
      swaggerOptions: { deepLinking: true, persistAuthorization: false },
    }),
  );
  const made = await (await app.handle(new Request("http://localhost/docs"))).text();
  // The addresses are relative, so the page is found behind a proxy that adds a path too.
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
