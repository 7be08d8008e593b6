/**
 * The SDK outside Bun: in Node with the package `ws`, and in a real browser. Where a machine lacks one
 * of them the test is skipped with a line that says so, but never in CI.
 */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { startApp } from "../support/app.ts";
import { startBrowser, testWithBrowser } from "../support/browser.ts";
import type { ProgramReport } from "./platform_program.ts";

const IN_CI = Boolean(process.env["CI"]);
const NODE = Bun.which("node");
const TIMEOUT_MS = 60_000;

if (NODE === null && !IN_CI) console.warn("SKIPPED: the SDK in Node (there is no node on this machine)");

test.skipIf(NODE === null && !IN_CI)(
  "SottoClient runs in Node with the package ws",
  async () => {
    if (NODE === null) throw new Error("Install Node: CI runs every test");
    // Below the project, so that Node finds `ws`.
    const folder = await mkdtemp(join(import.meta.dir, "../../node_modules/.sotto-node-"));
    try {
      await using app = await startApp();
      await bundle({ entry: "node_program.ts", target: "node", outdir: folder });
      const child = Bun.spawn([NODE, join(folder, "node_program.js"), app.url], { stdout: "pipe", stderr: "pipe" });
      const [output, errors] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      expect([await child.exited, errors]).toEqual([0, ""]);
      judge(JSON.parse(output));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  TIMEOUT_MS,
);

testWithBrowser(
  "SottoClient runs in a browser, from another origin [CONN-4, AUTH-2]",
  async () => {
    const script = await bundle({ entry: "browser_program.ts", target: "browser" });
    // Nothing of Node's or Bun's may be left in what browsers load.
    expect(script).not.toMatch(/require\("node:|from "node:|process\.env\[/);
    using page = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: ({ url }) =>
        new URL(url).pathname === "/program.js"
          ? new Response(script, { headers: { "content-type": "text/javascript" } })
          : new Response('<!doctype html><script type="module" src="/program.js"></script>', {
              headers: { "content-type": "text/html" },
            }),
    });
    const origin = `http://127.0.0.1:${page.port}`;
    await using app = await startApp({ env: { CORS_ORIGINS: origin } });
    const browser = await startBrowser();
    try {
      const tab = await browser.newPage();
      const faults: string[] = [];
      tab.on("pageerror", (error) => faults.push(String(error)));
      await tab.goto(origin);
      await tab.waitForFunction("typeof runProgram === 'function'");
      judge(await tab.evaluate(`runProgram(${JSON.stringify(app.url)})`));
      expect(faults).toEqual([]);
    } finally {
      await browser.close();
    }
  },
  TIMEOUT_MS,
);

function judge(report: ProgramReport): void {
  expect(report.read).toEqual(Array.from({ length: 60 }, (_, i) => `Grüße ${i + 1}`));
  expect(report.seqs).toEqual(Array.from({ length: 60 }, (_, i) => i + 2));
  expect(report.losses).toBeGreaterThanOrEqual(1);
  expect(report.refused).toBe("encryption_mismatch");
}

async function bundle(what: { entry: string; target: "node" | "browser"; outdir?: string }): Promise<string> {
  const { outdir } = what;
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, what.entry)],
    target: what.target,
    format: "esm",
    external: ["ws"],
    ...(outdir === undefined ? {} : { outdir }),
  });
  const [output] = built.outputs;
  if (output === undefined) throw new Error(`Bundle ${what.entry}: nothing came out`);
  return output.text();
}
