/** The API as the server itself describes it: complete, valid, and readable in a browser that reaches nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { validate } from "@apidevtools/swagger-parser";
import { relayOperations } from "../../src/compat/relay/mod.ts";
import { roomOperations } from "../../src/compat/room/mod.ts";
import { undescribed } from "../../src/http/mod.ts";
import { OPERATIONS } from "../../src/protocol/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { startBrowser, testWithBrowser } from "../support/browser.ts";

/** The part of a document that is looked at here. */
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: object;
  }[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Record<string, { readonly schema: Record<string, unknown> }>;
  };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Record<string, unknown> }>
  >;
}

let server: TestApp;
let document: Document;
beforeAll(async () => {
  server = await startApp({ env: { BASE_URL: "https://chat.example", ALGORITHM: "EdDSA" } });
  document = (await (await fetch(`${server.url}/openapi.json`)).json()) as Document;
});
afterAll(() => server[Symbol.asyncDispose]());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );

test("every route is described, and everything that is described is a route", () => {
  const known = { ...OPERATIONS, ...relayOperations, ...roomOperations };
  expect(undescribed(server.app.routes, known)).toEqual([]);
  expect(
    operations()
      .map(({ name }) => name)
      .sort(),
  ).toEqual(Object.keys(known).sort());
});

test("the document is valid by an outside validator", async () => {
  expect((document as unknown as { openapi: string }).openapi).toBe("3.1.0");
  // It resolves references in place, and this document is still needed.
  await validate(structuredClone(document) as never);
  await expect(validate({ ...structuredClone(document), paths: { nothing: 1 } } as never)).rejects.toThrow();
});

test("every operation says what it does, who may, what it needs, and what it answers when it works and when not", () => {
  const ids = new Set<string>();
  for (const { name, operation } of operations()) {
    expect(operation.summary, name).toMatch(/^[A-Z][^.]{8,}[^.]$/);
    expect(operation.tags, name).toHaveLength(1);
    expect(operation.security, name).toBeArray();
    const inPath = operation.parameters
      .filter((parameter) => parameter.in === "path")
      .map((parameter) => parameter.name);
    expect(inPath, name).toEqual([...name.matchAll(/\{(\w+)\}/g)].map(([, field = ""]) => field));
    const statuses = Object.keys(operation.responses).map(Number);
    expect(Math.min(...statuses), name).toBeLessThan(300);
    for (const status of [400, 429, 500]) expect(statuses, name).toContain(status);
    if (operation.security.length === 1) expect(statuses, name).toContain(401);
    if (operation.requestBody !== undefined) {
      for (const status of [413, 415]) expect(statuses, name).toContain(status);
    }
    ids.add(operation.operationId);
  }
  expect(ids.size).toBe(operations().length);
});

test("bodies and parameters are those that the routes read", () => {
  const find = (wanted: string) => {
    const found = operations().find(({ name }) => name === wanted)?.operation;
    if (found === undefined) throw new Error(`Not described: ${wanted}`);
    return found;
  };
  const signUp = find("POST /api/auth/signup").requestBody;
  expect(signUp?.required).toBe(true);
  expect(signUp?.content["application/json"]?.schema).toMatchObject({
    required: ["username", "password"],
    properties: { email: { format: "email" }, password: { minLength: 1, maxLength: 512 } },
  });
  expect(find("POST /api/auth/signout").requestBody?.required).toBe(false);
  expect(Object.keys(find("POST /login").requestBody?.content ?? {})).toEqual([
    "application/json",
    "application/x-www-form-urlencoded",
  ]);
  const page = find("GET /api/conversations/{id}/messages");
  expect(page.parameters.find(({ name }) => name === "limit")).toMatchObject({
    required: false,
    schema: { type: "integer", minimum: 1, maximum: 100, default: 50 },
  });
  expect(page.security).toEqual([{ bearer: [] }]);
});

test("the page's files are cached, what is not of it is not there", async () => {
  const script = await fetch(`${server.url}/docs/swagger-ui-bundle.js`);
  expect([script.status, script.headers.get("cache-control")]).toEqual([200, "public, max-age=86400"]);
  expect(script.headers.get("content-type")).toStartWith("text/javascript");
  for (const file of ["package.json", "..%2f..%2fpackage.json", "swagger-ui-bundle.js.map", "__proto__"]) {
    expect([file, (await fetch(`${server.url}/docs/${file}`)).status]).toEqual([file, 404]);
  }
});

testWithBrowser(
  "a browser that reaches nothing else shows every route at /docs, and the page may run no other script",
  async () => {
    const browser = await startBrowser();
    try {
      const tab = await browser.newPage();
      const elsewhere: string[] = [];
      const faults: string[] = [];
      await tab.route("**/*", async (route) => {
        const url = route.request().url();
        if (url.startsWith(`${server.url}/`) || url.startsWith("data:")) return route.continue();
        elsewhere.push(url);
        return route.abort();
      });
      tab.on("pageerror", (error) => faults.push(String(error)));
      tab.on("console", (message) => message.type() === "error" && faults.push(message.text()));
      await tab.goto(`${server.url}/docs`);
      await tab.waitForSelector(".opblock");
      const shown = await tab.locator(".opblock-summary").allInnerTexts();
      const text = shown.join("\n").replaceAll("\u200b", "");
      expect(shown).toHaveLength(operations().length);
      for (const path of Object.keys(document.paths)) expect(text).toContain(path);
      await tab.locator("#operations-auth-postApiAuthSignin .opblock-summary-control").click();
      await tab.waitForSelector("#operations-auth-postApiAuthSignin .responses-table");
      expect(await tab.locator("#operations-auth-postApiAuthSignin").innerText()).toContain("invalid_credentials");
      expect([elsewhere, faults]).toEqual([[], []]);
      // What somebody slipped into the page would not run.
      await tab.evaluate(() => {
        const script = globalThis.document.createElement("script");
        script.textContent = "globalThis.slippedIn = true";
        globalThis.document.body.append(script);
      });
      expect(await tab.evaluate("globalThis.slippedIn === undefined")).toBe(true);
      expect(faults.join()).toContain("Content Security Policy");
    } finally {
      await browser.close();
    }
  },
  60_000,
);
