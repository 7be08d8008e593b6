/** What a node holds when nobody uses it, and whether it is back there after a run. */
import type { ServerProcess } from "../support/server_process.ts";

/** A node that nobody uses. */
export interface Resting {
  readonly descriptors: number;
}

/** What must be nothing once nobody is connected. */
const GAUGES = ["sotto_sockets", "sotto_user_actors", "sotto_log_depth"];
/**
 * A node opens connections to Postgres when it first needs them and keeps them: 8 in its pool and
 * those of its lanes and cursors; and the runtime keeps a few for itself.
 */
const KEPT_DESCRIPTORS = 16;
/** An actor that nobody uses is kept for a few seconds, and a socket that was cut for longer. */
const RESTING_MS = 20_000;

/** Looks at a node before anybody uses it. */
export async function restingOf(server: ServerProcess): Promise<Resting> {
  return { descriptors: await server.openDescriptors() };
}

/** Waits until the node rests again; says in words what it holds on to instead. */
export async function whatIsLeft(server: ServerProcess, before: Resting): Promise<string[]> {
  const deadline = performance.now() + RESTING_MS;
  for (;;) {
    const left = await look(server, before);
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function look(server: ServerProcess, before: Resting): Promise<string[]> {
  const left: string[] = [];
  try {
    for (const name of GAUGES) {
      const value = await server.metric(name);
      if (value !== 0) left.push(`${name} is ${value} although nobody is connected`);
    }
    const descriptors = await server.openDescriptors();
    if (descriptors > before.descriptors + KEPT_DESCRIPTORS) {
      left.push(`${descriptors} descriptors are open, where there were ${before.descriptors}`);
    }
  } catch (error) {
    left.push(`it does not answer: ${error}`);
  }
  return left;
}
