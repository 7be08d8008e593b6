/**
 * Three nodes as processes of their own, a Postgres and a Redis, all real. Each node reaches both
 * through proxies that are its alone, so that one node can be cut off while the others go on.
 */
import type { NodeName } from "../support/history/history.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import type { Chance } from "../support/random.ts";
import { TestRedis } from "../support/redis.ts";
import { ServerProcess } from "../support/server_process.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import type { ServingNode } from "./device.ts";

/** One node with its ways to what it depends on. */
export interface ClusterNode {
  readonly name: NodeName;
  readonly server: ServerProcess;
  readonly redisProxy: TcpProxy;
  readonly postgresProxy: TcpProxy;
  /** Whether it is meant to serve: false from when a fault takes it until it is back. */
  serving: boolean;
}

const NODES = 3;

/** See the head of this file. */
export class Cluster implements AsyncDisposable {
  readonly nodes: readonly ClusterNode[];
  readonly redis: TestRedis;
  readonly database: TestDatabase;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    nodes: readonly ClusterNode[],
    redis: TestRedis,
    database: TestDatabase,
    stack: AsyncDisposableStack,
  ) {
    this.nodes = nodes;
    this.redis = redis;
    this.database = database;
    this.#stack = stack;
  }

  /** Starts everything; resolves once every node listens. */
  static async start(chance: Chance): Promise<Cluster> {
    await using stack = new AsyncDisposableStack();
    const redis = stack.use(await TestRedis.start());
    const database = stack.use(await createTestDatabase());
    const nodes = await Promise.all(
      Array.from({ length: NODES }, async (_, i) => {
        const proxy = async (url: string) => {
          const { hostname, port } = new URL(url);
          const random = chance.fork().next;
          return stack.use(await TcpProxy.start({ host: hostname, port: Number(port), random }));
        };
        const [redisProxy, postgresProxy] = await Promise.all([proxy(redis.url), proxy(database.url)]);
        const server = stack.use(
          await ServerProcess.start({
            DATABASE_URL: postgresProxy.through(database.url),
            REDIS_URL: redisProxy.through(redis.url),
            ACCESS_TOKEN_EXPIRE_MINUTES: "1440",
            TRUSTED_PROXIES: "127.0.0.1",
            LOG_LEVEL: "warn",
          }),
        );
        return { name: `node ${i + 1}`, server, redisProxy, postgresProxy, serving: true };
      }),
    );
    return new Cluster(nodes, redis, database, stack.move());
  }

  /** The nodes that are meant to serve now, and where. */
  readonly serving = (): ServingNode[] =>
    this.nodes.filter(({ serving }) => serving).map(({ name, server }) => ({ name, url: server.url }));

  /** The nodes that have ended although nobody ended them, in words. */
  unexpectedEnds(): string[] {
    return this.nodes.flatMap(({ name, server, serving }) => {
      const { end } = server;
      if (!serving || end === null) return [];
      return [`${name} ended by itself (${end.signal ?? `code ${end.code}`}): ${server.lastWords.trim().slice(-300)}`];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
