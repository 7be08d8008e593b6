/** What a node holds and says when nobody uses it, and whether it is back there after a run. */
import type { Sql } from "../../src/platform/postgres.ts";
import type { ConversationId } from "../../src/protocol/mod.ts";
import type { AnyOperation, History } from "../support/history/history.ts";
import type { ServerProcess } from "../support/server_process.ts";
import type { Device, ServingNode } from "./device.ts";
import { type Asking, readList, readPage } from "./requests.ts";
import type { Traffic } from "./traffic.ts";

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

/** What has to be in the database once every socket is closed: what devices acknowledged, and what people read. */
interface Said {
  readonly of: Device;
  readonly conversation: ConversationId;
  readonly acknowledged: number;
  readonly read: number;
}

/** Every device says where it stands, for the last time; gives what is not to be lost from here on. */
export async function concludeAll(traffic: Traffic): Promise<readonly Said[]> {
  const said = await Promise.all(
    traffic.devices.map(async (of) => {
      const { acknowledged, marked } = await of.conclude();
      const touched = new Set([...acknowledged.keys(), ...marked.keys()]);
      return [...touched].map((conversation): Said => {
        const place = { acknowledged: acknowledged.get(conversation) ?? 0, read: marked.get(conversation) ?? 0 };
        return { of, conversation, ...place };
      });
    }),
  );
  return said.flat();
}

/** Who is asked at rest. */
interface Scene {
  readonly history: History;
  readonly traffic: Traffic;
  readonly nodes: readonly ServingNode[];
  readonly sql: Sql;
}

/**
 * Once every socket is closed: waits until what devices said for the last time is in the database, and has every
 * person ask every node how far their messages got and what they have read. Says in words what never came there.
 */
export async function readAtRest(scene: Scene, said: readonly Said[]): Promise<string[]> {
  const deadline = performance.now() + RESTING_MS;
  let late = await missingOf(scene.sql, said);
  while (late > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    late = await missingOf(scene.sql, said);
  }
  const { history, traffic, nodes } = scene;
  const people = new Map(traffic.devices.map((device) => [device.account.id, device]));
  const reads = await Promise.all(
    [...people.values()].flatMap((device) =>
      nodes.map(async (node) => {
        const asking: Asking = { history, device, node };
        const read: AnyOperation[] = [await readList(asking)];
        for (const conversation of traffic.conversationsOf(device.account))
          read.push(await readPage(asking, { conversation, direction: "newest", seq: null }, 100));
        return read;
      }),
    ),
  );
  history.atRest = new Set(reads.flat());
  return late === 0 ? [] : [`${late} cursors never reached the database`];
}

async function missingOf(sql: Sql, said: readonly Said[]): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `select count(*)::int as count
     from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[]) g(device, account, conversation, acked, read)
     left join device_cursors d on d.device = g.device and d.conversation = g.conversation
     left join members m on m.account = g.account and m.conversation = g.conversation and m.left_seq is null
     where coalesce(d.acked_seq, 0) < g.acked or m.read_seq < g.read`,
    [
      ...[said.map(({ of }) => of.id), said.map(({ of }) => of.account.id), said.map((one) => one.conversation)],
      ...[said.map((one) => one.acknowledged), said.map((one) => one.read)],
    ],
  );
  return row?.count ?? 0;
}
