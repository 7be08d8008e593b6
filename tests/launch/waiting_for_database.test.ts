/** Who stops a server that waits for its database need not wait with it: it went on for half a minute once. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
/** Less than it would wait, and enough for a busy machine. */
const ENDED_MS = 20_000;

test("SIGTERM ends a server that waits for its database", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sotto-waiting-"));
  const env = { PATH: process.env["PATH"], HOME: folder, DATA_DIR: folder, PORT: "0" };
  const child = Bun.spawn([process.execPath, "src/main.ts"], {
    ...{ cwd: ROOT, env: { ...env, DATABASE_URL: "postgres://127.0.0.1:1/sotto" } },
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    for await (const bytes of child.stdout) {
      if (new TextDecoder().decode(bytes).includes("Waiting for the database")) break;
    }
    const before = performance.now();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(1);
    expect(performance.now() - before).toBeLessThan(ENDED_MS);
  } finally {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
