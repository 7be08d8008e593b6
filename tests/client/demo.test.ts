/** The demo: what it claims, what it leaves behind, and that its search can find something. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holdsAny, searchFolder } from "../../scripts/demo/search_folder.ts";
import { ClaimFailed, Stage } from "../../scripts/demo/stage.ts";

const ROOT = join(import.meta.dir, "../..");
const SECRET = "moonquake-56aa56d66102";
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sotto-test-"));
  await chmod(folder, 0o711); // under root, Postgres runs as another user and must pass through
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** Starts the demo with a temporary folder of its own, so that leftovers can be seen. */
function start() {
  return Bun.spawn([process.execPath, "scripts/demo.ts"], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: folder, NO_COLOR: "1" },
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** Processes that have the folder on their command line. */
async function leftovers(): Promise<string[]> {
  const list = Bun.spawn(["ps", "-eo", "args"], { stdout: "pipe" });
  return (await new Response(list.stdout).text()).split("\n").filter((line) => line.includes(folder));
}

describe("npm run demo", () => {
  test("ends well, fits on 80 columns, and leaves nothing behind", async () => {
    const demo = start();
    const [output, errors] = await Promise.all([new Response(demo.stdout).text(), new Response(demo.stderr).text()]);
    expect([await demo.exited, errors]).toEqual([0, ""]);
    const lines = output.split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const claims = lines.filter((line) => line.startsWith("   ✓ ")).length;
    expect(claims).toBeGreaterThan(20);
    expect(lines.findLast((line) => line !== "")).toStartWith(`${claims} claims, all checked`);
    expect(output).not.toContain("\x1b[");
    expect([await readdir(folder), await leftovers()]).toEqual([[], []]);
  }, 90_000);

  test("cleans up at Ctrl-C, also while its server is dead", async () => {
    const demo = start();
    let output = "";
    const decoder = new TextDecoder();
    for await (const chunk of demo.stdout) {
      output += decoder.decode(chunk, { stream: true });
      if (output.includes("died of SIGKILL")) demo.kill("SIGINT");
    }
    expect(output).toContain("died of SIGKILL");
    expect(await demo.exited).toBe(130);
    expect([await readdir(folder), await leftovers()]).toEqual([[], []]);
  }, 90_000);
});

describe("searchFolder()", () => {
  test("finds a text in any file, however it is written down", async () => {
    await mkdir(join(folder, "deep/er"), { recursive: true });
    const wide = Buffer.from(SECRET, "utf16le");
    const forms: Record<string, Buffer> = {
      utf8: Buffer.from(SECRET),
      utf16: wide,
      hex: Buffer.from(Buffer.from(SECRET).toString("hex")),
      ...Object.fromEntries(
        [0, 1, 2, 3].map((shift) => [
          `base64 after ${shift}`,
          Buffer.from(Buffer.from(`${"~".repeat(shift)}${SECRET}?>`).toString("base64")),
        ]),
      ),
    };
    for (const [name, form] of Object.entries(forms)) {
      const noise = crypto.getRandomValues(new Uint8Array(50_000));
      await Bun.write(join(folder, "deep/er", name), Buffer.concat([noise, form, noise]));
    }
    await Bun.write(join(folder, "innocent"), crypto.getRandomValues(new Uint8Array(100_000)));
    const { files, bytes, hits } = await searchFolder(folder, [SECRET]);
    expect(hits.toSorted()).toEqual(
      Object.keys(forms)
        .map((name) => `deep/er/${name}`)
        .sort(),
    );
    expect(files).toBe(Object.keys(forms).length + 1);
    expect(bytes).toBeGreaterThan(100_000 * files);
    expect(holdsAny(`log line ${SECRET}`, ["other", SECRET])).toBe(true);
    expect(holdsAny("log line", ["other", SECRET])).toBe(false);
  });
});

describe("Stage", () => {
  test("prints a claim only if it holds, and colours only on a terminal", () => {
    let written = "";
    const plain = new Stage({ write: (text) => (written += text) }, undefined);
    plain.claim("this holds", true);
    expect(() => plain.claim("this does not", false)).toThrow(new ClaimFailed("this does not"));
    expect([written, plain.claims]).toEqual(["   ✓ this holds\n", 1]);
    for (const [noColor, coloured] of [
      [undefined, true],
      ["1", false],
    ] as const) {
      written = "";
      new Stage({ isTTY: true, write: (text) => (written += text) }, noColor).claim("so", true);
      expect(written.includes("\x1b[")).toBe(coloured);
    }
  });
});
