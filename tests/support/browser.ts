/** A real browser: the Chromium of the machine. Where it has none its tests are skipped with a line that says so, never in CI. */
import { test } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const IN_CI = Boolean(process.env["CI"]);

/** As `test`, for what needs a browser. */
export function testWithBrowser(name: string, body: () => Promise<void>, timeoutMs: number): void {
  if (CHROMIUM === undefined && !IN_CI) console.warn(`SKIPPED: ${name} (there is no Chromium on this machine)`);
  test.skipIf(CHROMIUM === undefined && !IN_CI)(name, body, timeoutMs);
}

/** Starts the browser; whoever asked closes it. */
export function startBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error("Install Chromium: CI runs every test");
  return chromium.launch({ executablePath: CHROMIUM, args: ARGS });
}
