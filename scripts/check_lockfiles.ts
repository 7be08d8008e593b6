/** npm's and Bun's lockfiles name the same versions, and both what package.json asks for. */
import type { Problem } from "./source_files.ts";

/** The three files' text. */
export interface Lockfiles {
  readonly manifest: string;
  readonly npm: string;
  readonly bun: string;
}

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

/** Checks that all three agree; versions in the manifest must be exact. */
export function checkLockfiles(files: Lockfiles): Problem[] {
  const manifest = JSON.parse(files.manifest) as Manifest;
  const npm = npmVersions(files.npm);
  const bun = bunVersions(files.bun);
  const problems: Problem[] = [];
  const report = (path: string, message: string) => problems.push({ path, line: 0, message });
  for (const [name, version] of Object.entries({
    ...manifest.dependencies,
    ...manifest.devDependencies,
    ...manifest.optionalDependencies,
  })) {
    if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      report("package.json", `Pin ${name} to one version: current value is ${version}`);
    if (npm.get(name)?.has(version) !== true)
      report("package-lock.json", `Run npm install: ${name} ${version} is not in it`);
    if (bun.get(name)?.has(version) !== true)
      report("bun.lock", `Run bun install --lockfile-only: ${name} ${version} is not in it`);
  }
  for (const [name, versions] of npm) {
    const others = bun.get(name);
    if (others === undefined) report("bun.lock", `Run bun install --lockfile-only: ${name} is missing`);
    else if ([...versions].sort().join() !== [...others].sort().join()) {
      report(
        "bun.lock",
        `Let the lockfiles agree on ${name}: npm has ${[...versions].join(", ")}, Bun ${[...others].join(", ")}`,
      );
    }
  }
  return problems;
}

function npmVersions(text: string): Map<string, Set<string>> {
  const { packages } = JSON.parse(text) as { packages: Record<string, { version?: string }> };
  const found = new Map<string, Set<string>>();
  for (const [path, { version }] of Object.entries(packages)) {
    if (path !== "" && version !== undefined)
      add(found, path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length), version);
  }
  return found;
}

function bunVersions(text: string): Map<string, Set<string>> {
  // JSON with trailing commas; no string of it holds a comma before a bracket.
  const { packages } = JSON.parse(text.replace(/,(\s*[}\]])/g, "$1")) as { packages: Record<string, [string]> };
  const found = new Map<string, Set<string>>();
  for (const [spec] of Object.values(packages)) {
    const at = spec.lastIndexOf("@");
    add(found, spec.slice(0, at), spec.slice(at + 1));
  }
  return found;
}

function add(map: Map<string, Set<string>>, name: string, version: string): void {
  map.set(name, (map.get(name) ?? new Set()).add(version));
}
