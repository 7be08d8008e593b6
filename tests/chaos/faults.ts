/**
 * What is done to a running cluster. Each fault says whom it hits, makes it, and heals it; `run.ts`
 * keeps it up in between while people go on, and measures what comes after.
 */
import type { Hit } from "../support/history/history.ts";
import { startDatabaseServer, stopDatabaseServer } from "../support/postgres.ts";
import type { Chance } from "../support/random.ts";
import { type Direction, TcpProxy } from "../support/tcp_proxy.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";
import type { Cluster, ClusterNode } from "./cluster.ts";
import type { Traffic } from "./traffic.ts";

/** Where a fault is made. */
export interface Scene {
  readonly cluster: Cluster;
  readonly traffic: Traffic;
  readonly chance: Chance;
  /** As short as it can be and still show something, for the smoke test. */
  readonly brief: boolean;
}

/** One fault that is about to be made. */
export interface Plan {
  readonly hit: Hit;
  /** Milliseconds from making to healing. */
  readonly holdMs: number;
  make(): Promise<void> | void;
  /** What is done again and again while it is kept up, and how often (ms). */
  readonly again?: { readonly everyMs: number; readonly deed: () => Promise<void> | void };
  heal(): Promise<void> | void;
  /** Takes away what the fault was made with, once everybody has caught up. */
  readonly after?: () => Promise<void>;
}

/** A fault by its name. */
export interface FaultKind {
  readonly name: string;
  /** What it does, for a list of them. */
  readonly says: string;
  /** It cannot be healed, so nothing else comes after it. */
  readonly forGood?: true;
  /** It ends Postgres, which only the owner of the server may. */
  readonly endsPostgres?: true;
  plan(scene: Scene): Plan;
}

const EVERYTHING: Hit = { type: "all" };
/** A node that is asked to end has answered and gone by then (ms). */
const DRAIN_MS = 10_000;
const LARGE_BYTES = 30_000;

function anyNode({ cluster, chance }: Scene): ClusterNode {
  return chance.pick(cluster.nodes);
}

function hitting({ name: node }: ClusterNode): Hit {
  return { type: "node", node };
}

async function comeBack(node: ClusterNode): Promise<void> {
  await node.server.startAgain();
  node.serving = true;
}

/** What is done once and again every so many ms, and needs no healing. */
function againAndAgain(brief: boolean, everyMs: number, deed: () => Promise<void> | void): Plan {
  return { hit: EVERYTHING, holdMs: brief ? 2_500 : 8_000, make: deed, again: { everyMs, deed }, heal: () => {} };
}

const nodeKilled: FaultKind = {
  name: "node-killed",
  says: "a node is killed (SIGKILL) and started again",
  plan: (scene) => {
    const node = anyNode(scene);
    return {
      hit: hitting(node),
      holdMs: scene.brief ? 2_000 : scene.chance.between(2_000, 8_000),
      make: () => {
        node.serving = false;
        return node.server.signal("SIGKILL");
      },
      heal: () => comeBack(node),
    };
  },
};

const nodeFrozen: FaultKind = {
  name: "node-frozen",
  says: "a node is stopped (SIGSTOP) for longer than its lease, and goes on",
  plan: (scene) => {
    const node = anyNode(scene);
    return {
      hit: hitting(node),
      holdMs: scene.brief ? 6_000 : scene.chance.between(5_000, 30_000),
      make: () => node.server.signal("SIGSTOP"),
      heal: () => node.server.signal("SIGCONT"),
    };
  },
};

const nodeDrained: FaultKind = {
  name: "node-drained",
  says: "a node is asked to end (SIGTERM) and started again",
  plan: (scene) => {
    const node = anyNode(scene);
    return {
      hit: hitting(node),
      holdMs: scene.brief ? 500 : scene.chance.between(500, 5_000),
      make: async () => {
        node.serving = false;
        const askedAt = performance.now();
        await node.server.signal("SIGTERM");
        const took = performance.now() - askedAt;
        const { code = null } = node.server.end ?? {};
        if (code === 0 && took <= DRAIN_MS + (scene.brief ? BUSY_MS : 0)) return;
        throw new Error(`Drain ${node.name} in order: it ended with ${code} after ${Math.round(took)} ms`);
      },
      heal: () => comeBack(node),
    };
  },
};

const redisFlushed: FaultKind = {
  name: "redis-flushed",
  says: "Redis forgets everything (FLUSHALL), again and again",
  plan: ({ cluster, brief }) => {
    const deed = async () => void (await cluster.redis.command("FLUSHALL"));
    return againAndAgain(brief, 700, deed);
  },
};

const pubsubKilled: FaultKind = {
  name: "pubsub-killed",
  says: "every subscription is cut (CLIENT KILL TYPE pubsub), again and again",
  plan: ({ cluster, brief }) => {
    const deed = async () => void (await cluster.redis.command("CLIENT", "KILL", "TYPE", "pubsub"));
    return againAndAgain(brief, 600, deed);
  },
};

const redisStopped: FaultKind = {
  name: "redis-stopped",
  says: "Redis keeps its connections and answers nothing for ten seconds (SIGSTOP)",
  plan: ({ cluster, brief }) => ({
    hit: EVERYTHING,
    holdMs: brief ? 4_000 : 10_000,
    make: () => cluster.redis.freeze(),
    heal: () => cluster.redis.thaw(),
  }),
};

const redisKilled: FaultKind = {
  name: "redis-killed",
  says: "Redis is gone for good: from here on the nodes look into the log",
  forGood: true,
  plan: ({ cluster, brief }) => ({
    hit: EVERYTHING,
    holdMs: brief ? 3_000 : 10_000,
    make: () => cluster.redis.kill(),
    heal: () => {},
  }),
};

function cutFromRedis(name: string, says: string, direction: Direction): FaultKind {
  return {
    name,
    says,
    plan: (scene) => {
      const node = anyNode(scene);
      return {
        hit: hitting(node),
        holdMs: scene.brief ? 4_000 : scene.chance.between(4_000, 12_000),
        make: () => node.redisProxy.hold(direction),
        heal: () => node.redisProxy.heal(),
      };
    },
  };
}

const postgresRestarted: FaultKind = {
  name: "postgres-restarted",
  says: "Postgres is ended in order and started again",
  endsPostgres: true,
  plan: ({ brief, chance }) => ({
    hit: EVERYTHING,
    holdMs: brief ? 1_000 : chance.between(1_000, 5_000),
    make: stopDatabaseServer,
    heal: startDatabaseServer,
  }),
};

const postgresBackendsKilled: FaultKind = {
  name: "postgres-backends-killed",
  says: "every connection to Postgres is ended (pg_terminate_backend), again and again",
  plan: ({ cluster, brief }) => {
    const deed = async () => {
      await cluster.database.db.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()`,
      );
    };
    return againAndAgain(brief, 600, deed);
  },
};

const sentThreeTimes: FaultKind = {
  name: "same-send-thrice-on-two-nodes",
  says: "the same send goes out three times at once, on two nodes, by socket and HTTP",
  plan: ({ traffic, chance, brief }) => {
    const deed = () => traffic.sendThrice(chance.pick(traffic.devices));
    return againAndAgain(brief, 40, deed);
  },
};

const stalledReader: FaultKind = {
  name: "stalled-reader",
  says: "one device reads nothing any more while large messages come",
  plan: ({ cluster, traffic, chance, brief }) => {
    const device = chance.pick(traffic.devices);
    // Beyond the server's patience (30 s) the socket is closed instead; both must lose nothing.
    const holdMs = brief ? 4_000 : chance.pick([8_000, 35_000]);
    let proxy: TcpProxy;
    return {
      hit: { type: "account", account: device.account.id },
      holdMs,
      make: async () => {
        const node = chance.pick(cluster.serving());
        const { hostname, port } = new URL(node.url);
        proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
        device.detour = { node: { name: node.name, url: proxy.through(node.url) }, silentMs: holdMs * 2 };
        device.hop();
        await waitUntil("the device is back by way of it", () => proxy.connections > 0 && device.node !== null);
        proxy.hold("down");
      },
      again: { everyMs: 60, deed: () => traffic.sendLarge(device.account.id, LARGE_BYTES) },
      heal: () => proxy.heal(),
      after: async () => {
        device.detour = null;
        await proxy[Symbol.asyncDispose]();
      },
    };
  },
};

const reconnectStorm: FaultKind = {
  name: "reconnect-storm",
  says: "every device loses its socket and comes back at once, again and again",
  plan: ({ traffic, brief }) => {
    const deed = () => {
      for (const device of traffic.devices) device.cut(true);
    };
    return againAndAgain(brief, 700, deed);
  },
};

/** Every fault, in the order in which `all` makes them; what cannot be healed comes last. */
export const FAULTS: readonly FaultKind[] = [
  nodeKilled,
  nodeFrozen,
  nodeDrained,
  redisFlushed,
  pubsubKilled,
  redisStopped,
  cutFromRedis("redis-deaf", "one node hears nothing of Redis any more (bytes towards it are held)", "down"),
  cutFromRedis("redis-mute", "nothing of one node reaches Redis any more (bytes from it are held)", "up"),
  postgresRestarted,
  postgresBackendsKilled,
  sentThreeTimes,
  stalledReader,
  reconnectStorm,
  redisKilled,
];
