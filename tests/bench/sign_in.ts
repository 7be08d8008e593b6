/**
 * Sign-ins a second: the name, the Argon2id check, a new session and its tokens, over HTTP; and the memory
 * of the server while a hundred come at once. Each comes from an address of its own, as a proxy would say
 * it, because one address is slowed down.
 */
import { type Bench, note, startServer, watch } from "./bench.ts";
import { SECRET } from "./bench_server.ts";
import { cpuSeconds, residentBytes } from "./machine.ts";
import { createPeople, PASSWORD, type Person } from "./people.ts";
import { cpuText } from "./report.ts";
import { percentiles } from "./traffic.ts";

const PEOPLE = 400;
const AT_ONCE = 8;
const BURST = 100;
const BURSTS = 5;
const SAMPLE_MS = 5;
const MIB = 1024 * 1024;

/** Runs the sign-ins. */
export async function signIn(bench: Bench): Promise<void> {
  await using server = await startServer(bench);
  const people = await createPeople(bench.db, SECRET, PEOPLE);
  await burst(bench, server, people);
  const times: number[] = [];
  const watched = watch(bench, server.pid, process.pid);
  const before = watched.map(cpuSeconds);
  const begun = performance.now();
  const until = begun + Math.min(5, bench.options.seconds) * 1_000;
  let next = 0;
  const user = async () => {
    while (performance.now() < until) {
      const index = next++;
      const asked = performance.now();
      await signInOnce(server.url, people[index % people.length], index);
      times.push(performance.now() - asked);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, user));
  const seconds = (performance.now() - begun) / 1_000;
  const cpu = Object.fromEntries(watched.map((one, i) => [one.name, (cpuSeconds(one) - (before[i] ?? 0)) / seconds]));
  const { p50, p99 } = percentiles(times);
  note(bench, "sign_in", `sign-ins, ${AT_ONCE} at once`, times.length / seconds, "/s", cpuText(cpu));
  note(bench, "sign_in", "answered after, p50", p50, "ms", `p99 ${p99.toFixed(0)} ms`);
}

/** A hundred at once, some times over: how much memory the server takes more than before, at its most and afterwards. */
async function burst(bench: Bench, server: { readonly url: string; readonly pid: number }, people: readonly Person[]) {
  await signInOnce(server.url, people[0], 0); // what is loaded with the first one is not the burst's
  const before = residentBytes(server.pid);
  let peak = before;
  const sampler = setInterval(() => {
    peak = Math.max(peak, residentBytes(server.pid));
  }, SAMPLE_MS);
  const slowest: number[] = [];
  for (let round = 0; round < BURSTS; round++) {
    const begun = performance.now();
    await Promise.all(
      Array.from({ length: BURST }, (_, i) => signInOnce(server.url, people[i % people.length], round * BURST + i)),
    );
    slowest.push(performance.now() - begun);
  }
  clearInterval(sampler);
  const more = (bytes: number) => (bytes - before) / MIB;
  const text = `${(before / MIB).toFixed(0)} MiB before; ${more(residentBytes(server.pid)).toFixed(0)} MiB more afterwards`;
  note(bench, "sign_in", `memory at its most, ${BURST} at once, more than before`, more(peak), "MiB", text);
  note(bench, "sign_in", `the last of ${BURST} answered after, p50 of ${BURSTS}`, percentiles(slowest).p50, "ms");
}

async function signInOnce(url: string, person: Person | undefined, index: number): Promise<void> {
  const answer = await fetch(`${url}/api/auth/signin`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-forwarded-for": `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
    },
    body: JSON.stringify({ username: person?.name, password: PASSWORD }),
  });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`Sign in: ${answer.status} ${text}`);
}
