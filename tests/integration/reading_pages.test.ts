/** `/redoc` and `/docs/sockets`: the documents as pages that hold all they need, and say all that the documents say. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { STARTING_MS } from "../spec/support.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { startBrowser, testWithBrowser } from "../support/browser.ts";

/** What each page is made of, and how many of its entries there must be. */
const PAGES = [
  { path: "/redoc", document: "/openapi.json", count: routesIn },
  { path: "/docs/sockets", document: "/asyncapi.json", count: framesIn },
] as const;

// biome-ignore lint/suspicious/noExplicitAny: a test says what the document should hold.
type Document = any;

let server: TestApp;
beforeAll(async () => {
  server = await startApp({ env: { BASE_URL: "https://chat.example" } });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

function routesIn({ paths }: Document): number {
  return Object.values<object>(paths).flatMap((methods) => Object.keys(methods)).length;
}

function framesIn({ components }: Document): number {
  return Object.keys(components.messages).length;
}

describe.each(PAGES)("$path", ({ path, document, count }) => {
  const fetched = async () => {
    const answer = await fetch(server.url + path);
    return { answer, html: await answer.text() };
  };
  const described = async () => (await (await fetch(server.url + document)).json()) as Document;

  test("has no script, loads nothing, and lets no other style in", async () => {
    const { answer, html } = await fetched();
    expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(answer.headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    );
    expect(html).not.toMatch(/<script|<iframe|<img|\bon[a-z]+=|\bsrc=|javascript:|@import|url\(|\bstyle="/i);
  });

  test("holds no mark that is not its own: what descriptions say is text", async () => {
    const { html } = await fetched();
    const tags = new Set([...html.matchAll(/<\/?([^\s>]+)/g)].map(([, tag]) => tag));
    const own = [
      "!doctype",
      "html",
      "head",
      "meta",
      "title",
      "link",
      "style",
      "body",
      "nav",
      "main",
      "header",
      "section",
    ];
    own.push(
      "article",
      "h1",
      "h2",
      "h3",
      "h4",
      "p",
      "a",
      "b",
      "em",
      "code",
      "pre",
      "span",
      "ul",
      "ol",
      "li",
      "details",
    );
    own.push("summary", "table", "thead", "tbody", "tr", "th", "td");
    expect([...tags].filter((tag) => !own.includes(tag ?? ""))).toEqual([]);
  });

  test("has an entry for all that the document describes, and every link leads somewhere", async () => {
    const { html } = await fetched();
    const document = await described();
    expect(html.match(/<article /g)).toHaveLength(count(document));
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...html.matchAll(/ href="([^"]+)"/g)].map(([, address = ""]) => address);
    for (const link of links.filter((address) => address.startsWith("#"))) expect(ids).toContain(link.slice(1));
    const pages = links.filter((address) => !/^(#|data:,$)/.test(address));
    expect(pages.length).toBeGreaterThan(1);
    for (const page of pages) {
      const { status } = await fetch(new URL(page, server.url + path));
      expect([page, status]).toEqual([page, 200]);
    }
    for (const code of Object.keys(document["x-errors"])) expect(ids).toContain(`error-${code}`);
  });

  testWithBrowser(
    "is shown by a browser that reaches nothing else, in light, in dark, on a telephone and on paper",
    async () => {
      const browser = await startBrowser();
      try {
        for (const colorScheme of ["light", "dark"] as const) {
          const tab = await browser.newPage({ colorScheme, viewport: { width: 390, height: 800 } });
          const asked: string[] = [];
          const faults: string[] = [];
          tab.on("request", (request) => asked.push(request.url()));
          tab.on("pageerror", (error) => faults.push(String(error)));
          tab.on("console", (message) => faults.push(message.text()));
          await tab.goto(server.url + path);
          expect(await tab.locator("article").count()).toBe(count(await described()));
          const look = await tab.evaluate(() => {
            const { body, documentElement } = globalThis.document;
            const { backgroundColor, color } = getComputedStyle(body);
            return { backgroundColor, color, wide: documentElement.scrollWidth > documentElement.clientWidth };
          });
          const paper = colorScheme === "light" ? "rgb(255, 255, 255)" : "rgb(20, 24, 31)";
          expect(look).toEqual({ backgroundColor: paper, color: expect.any(String), wide: false });
          expect((await tab.pdf({ format: "A4" })).subarray(0, 5).toString()).toBe("%PDF-");
          expect(asked.filter((url) => !url.startsWith("data:"))).toEqual([server.url + path]);
          expect(faults).toEqual([]);
          await tab.close();
        }
      } finally {
        await browser.close();
      }
    },
    60_000,
  );
});

describe("/redoc", () => {
  test("says of a route what it takes and answers, who may, and what it is refused as", async () => {
    const html = await (await fetch(`${server.url}/redoc`)).text();
    const entry = /<article id="postApiAuthSignin">[\s\S]*?<\/article>/.exec(html)?.[0] ?? "";
    for (const said of ["password", "1 to 512 characters", "refresh_token", "error-invalid_credentials", "Body"]) {
      expect(entry).toContain(said);
    }
    const page = /<article id="getApiConversationsIdMessages">[\s\S]*?<\/article>/.exec(html)?.[0] ?? "";
    for (const said of ["?limit", "1 to 100", "<code>50</code> unless given", "messages[].seq", "Who has an access"]) {
      expect(page).toContain(said);
    }
  });
});
