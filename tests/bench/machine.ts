/** What the machine says of itself and of the processes that are measured, from /proc (Linux). */
import { readdirSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";

/** Where a run took place; printed with every table. */
export interface Conditions {
  readonly cores: number;
  readonly model: string;
  readonly bun: string;
  readonly postgres: string;
  readonly load: readonly number[];
  readonly at: string;
}

/** A process tree whose processor time is counted together. */
export interface Watched {
  readonly name: string;
  readonly pid: number;
  /** Whether the children count too, as with Postgres, which has one process a connection. */
  readonly children: boolean;
}

/** Clock ticks a second of the figures in /proc; 100 on every Linux that Bun runs on. */
const TICKS = 100;
const PAGE_BYTES = 4_096;

/** The conditions of this run; `postgres` is what the server says of its version. */
export function conditions(postgres: string): Conditions {
  return {
    cores: navigator.hardwareConcurrency,
    model: cpus()[0]?.model ?? "unknown",
    bun: Bun.version,
    postgres,
    load: loadavg().map((value) => Math.round(value * 100) / 100),
    at: new Date().toISOString(),
  };
}

/** The load average of the last minute: other work on the machine shows here. */
export function loadNow(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Seconds of processor time that a tree has used so far; 0 once it is gone. */
export function cpuSeconds({ pid, children }: Watched): number {
  const own = ticksOf(pid);
  return (children ? childrenOf(pid).reduce((sum, child) => sum + ticksOf(child), own) : own) / TICKS;
}

/** Bytes of memory that a process holds. */
export function residentBytes(pid: number): number {
  return Number(read(`/proc/${pid}/statm`).split(" ")[1] ?? 0) * PAGE_BYTES;
}

/** The parent of a process; 0 where it is not on this machine. */
export function parentOf(pid: number): number {
  return Number(fieldsOf(pid)[1] ?? 0);
}

/** utime and stime, and what children that have ended left behind (proc(5), fields 14 to 17). */
function ticksOf(pid: number): number {
  const fields = fieldsOf(pid);
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

/** The fields of /proc/pid/stat after the name, which may hold spaces. */
function fieldsOf(pid: number): string[] {
  const text = read(`/proc/${pid}/stat`);
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
