/**
 * Sign-ins a second: the name, the Argon2id check, a new session and its tokens, over HTTP. Each comes
 * from an address of its own, as a proxy would say it, because one address is slowed down.
 */
import { type Bench, note, startServer, watch } from "./bench.ts";
import { SECRET } from "./bench_server.ts";
import { cpuSeconds } from "./machine.ts";
import { createPeople, PASSWORD, type Person } from "./people.ts";
import { cpuText } from "./report.ts";
import { percentiles } from "./traffic.ts";

const PEOPLE = 400;
const AT_ONCE = 8;

/** Runs the sign-ins. */
export async function signIn(bench: Bench): Promise<void> {
  await using server = await startServer(bench);
  const people = await createPeople(bench.db, SECRET, PEOPLE);
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
