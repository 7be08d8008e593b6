/** Nodes of one server that meet through a Redis of their own. */
import { request, startApp, type TestApp, type TestAppOptions } from "./app.ts";
import { TestRedis } from "./redis.ts";
import { waitUntil } from "./wait.ts";

/** Two nodes that have met. Disposing ends them, and their Redis last. */
export interface TwoNodes extends AsyncDisposable {
  readonly redis: TestRedis;
  readonly here: TestApp;
  readonly there: TestApp;
}

/** Starts two nodes on one database, and waits until both are on the bus. */
export async function startTwo(options: Omit<TestAppOptions, "env"> = {}): Promise<TwoNodes> {
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await TestRedis.start());
  const both = { ...options, env: { REDIS_URL: redis.url } };
  const here = stack.use(await startApp(both));
  const there = stack.use(await here.another(both));
  await everyBusIs([here, there], "up");
  const running = stack.move();
  return { redis, here, there, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Waits until every node says so of its bus. */
export function everyBusIs(nodes: readonly TestApp[], status: string, deadlineMs?: number): Promise<void> {
  const holds = async () => {
    const answers = await Promise.all(nodes.map(({ url }) => request(url, "GET", "/health")));
    return answers.every(({ json }) => json.bus === status);
  };
  return waitUntil(`every bus is ${status}`, holds, deadlineMs);
}
