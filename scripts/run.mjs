/**
 * What `npm start`, `npm test` and the other commands run: installs what is missing, finds the
 * project's own Bun and hands over to it. Runs on Node 20 and on Bun, with nothing installed.
 *
 * - It never relies on install scripts: the npm package of Bun is a stub where they are blocked.
 * - Signals are passed on, and the exit code is the program's.
 * - The program is told this process' number, so it can end in order when this one is killed.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MODULES = join(ROOT, "node_modules");
const STAMP = join(MODULES, ".sotto-installed");
const LOCK = join(ROOT, ".install.lock");
const OLDEST_NODE = 20;
const LOCK_WAIT_MS = 10 * 60_000;

/** What Bun is told for each command. */
const COMMANDS = {
  start: ["src/main.ts"],
  test: ["test", "--timeout", "60000"],
  "test all": ["scripts/test.ts"],
  chat: ["src/terminal/main.ts"],
  demo: ["scripts/demo.ts"],
  migrate: ["scripts/migrate.ts"],
  admin: ["src/admin/main.ts"],
  lint: ["node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings"],
  format: ["node_modules/@biomejs/biome/bin/biome", "check", "--write"],
  typecheck: ["node_modules/typescript/bin/tsc", "--noEmit", "-p", "."],
  check: ["scripts/check.ts"],
  schema: ["scripts/schema.ts"],
  bench: ["scripts/bench.ts"],
  chaos: ["scripts/chaos.ts"],
};

await main(process.argv.slice(2));

async function main([command, ...args]) {
  if (!process.versions.bun && Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    return fail(`Use Node ${OLDEST_NODE} or newer: current value is ${process.versions.node}`);
  }
  const line = COMMANDS[command === "test" && args.length === 0 ? "test all" : command];
  if (line === undefined) return fail(`Choose one of ${Object.keys(COMMANDS).join(", ")}: current value is ${command}`);
  if (!isInstalled()) await install();
  const bun = findBun();
  if (bun === null) return fail("Remove node_modules and try again: it holds no Bun for this machine");
  handOver(bun, [...line, ...args]);
}

function fail(sentence) {
  console.error(sentence);
  process.exitCode = 1;
}

/** Whether node_modules holds what the lockfile says; looks at two files only. */
function isInstalled() {
  if (read(STAMP) === fingerprint()) return findBun() !== null;
  // Installed by hand with npm, which keeps the list of what it installed.
  const wanted = JSON.parse(read(join(ROOT, "package-lock.json")) || "{}").packages ?? {};
  const present = JSON.parse(read(join(MODULES, ".package-lock.json")) || "{}").packages ?? {};
  const names = Object.keys(wanted).filter((name) => name !== "" && !wanted[name].optional);
  return (
    names.length > 0 && names.every((name) => present[name]?.version === wanted[name].version) && findBun() !== null
  );
}

function fingerprint() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`);
  for (const file of ["package.json", "package-lock.json", "bun.lock"]) hash.update(read(join(ROOT, file)));
  return hash.digest("hex");
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Installs once, however many are started together. */
async function install() {
  await takeLock();
  try {
    if (isInstalled()) return; // another one did it while we waited
    console.error("Installing the dependencies, once …");
    const [program, args] = installer();
    // The standard output belongs to the program that is started afterwards.
    const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: ["ignore", 2, 2] });
    if (status !== 0) {
      console.error(
        `Install the dependencies by hand: ${program} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`,
      );
      process.exit(1);
    }
    mkdirSync(MODULES, { recursive: true });
    writeFileSync(STAMP, fingerprint());
  } finally {
    rmSync(LOCK, { force: true });
  }
}

/** npm where there is one, else the Bun that runs this. */
function installer() {
  const npmArgs = ["ci", "--include=dev", "--include=optional", "--prefer-offline", "--no-audit", "--no-fund"];
  const ours = process.env.npm_execpath ?? "";
  if (!process.versions.bun && /npm-cli\.[cm]?js$/.test(ours)) return [process.execPath, [ours, ...npmArgs]];
  if (!process.versions.bun || !isBunInstall()) {
    if (spawnSync("npm", ["--version"], { stdio: "ignore" }).status === 0) return ["npm", npmArgs];
  }
  return [process.versions.bun ? process.execPath : "bun", ["install", "--frozen-lockfile"]];
}

/** Started by `bun run`: then the Bun is there and npm may be broken without Node. */
function isBunInstall() {
  return (
    /bun/.test(process.env.npm_config_user_agent ?? "") ||
    spawnSync("node", ["--version"], { stdio: "ignore" }).status !== 0
  );
}

async function takeLock() {
  const deadline = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: "wx" });
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, release);
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = Number(read(LOCK));
    // An empty file is one whose writer has not come to its number yet.
    if (holder > 0 && !isAlive(holder)) rmSync(LOCK, { force: true });
    else if (Date.now() > deadline) throw new Error(`Remove ${LOCK}: process ${holder} holds it for too long`);
    else await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function release(signal) {
  rmSync(LOCK, { force: true });
  process.exit(128 + constants.signals[signal]);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** The real program: in the platform's own package, or moved from there by the install script. */
function findBun() {
  const vendor = join(MODULES, "@oven");
  const packages = existsSync(vendor) ? readdirSync(vendor).sort() : [];
  // "musl" sorts after the plain name; it is tried where the plain one does not run.
  const candidates = [
    ...packages.map((name) => join(vendor, name, "bin", "bun")),
    join(MODULES, "bun", "bin", "bun.exe"),
  ];
  const real = candidates.filter((path) => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 1_000_000);
  return real.length === 1 ? executable(real[0]) : (real.find((path) => runs(executable(path))) ?? null);
}

function executable(path) {
  try {
    if ((statSync(path).mode & 0o111) === 0) chmodSync(path, 0o755);
  } catch {
    // not ours to change: starting it will say so
  }
  return path;
}

function runs(path) {
  return spawnSync(path, ["--version"], { stdio: "ignore" }).status === 0;
}

function handOver(bun, args) {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeListener(signal, release);
  const env = { ...process.env, SOTTO_LAUNCHER_PID: String(process.pid) };
  const child = spawn(bun, args, { cwd: ROOT, stdio: "inherit", env });
  child.on("error", (error) => fail(`Make ${bun} executable: it does not start: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  watchRunner(child);
}

/** `npm start` and `bun run start` wait for us: when they are killed, nobody wants the server any more. */
function watchRunner(child) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const runner = process.ppid;
  setInterval(() => {
    if (process.ppid !== runner) child.kill("SIGTERM");
  }, 500).unref();
}
