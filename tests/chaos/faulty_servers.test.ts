/**
 * The checker catches servers that are broken: the real program with one bug in it, the same traffic as
 * everywhere, a fault, and the rule that must be found broken. The same on the program as it is holds.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { holdHead } from "../spec/support.ts";
import type { Bug } from "../support/faulty/bugs.ts";
import { check, type Judgement, type Rule } from "../support/history/checker.ts";
import { History } from "../support/history/history.ts";
import { readLogs } from "../support/history/read_logs.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { Chance } from "../support/random.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { ServerProcess } from "../support/server_process.ts";
import { waitUntil } from "../support/wait.ts";
import { catchUp } from "./caught_up.ts";
import type { Deed } from "./deeds.ts";
import { Traffic } from "./traffic.ts";

/** What a run has to do things with. */
interface Scene {
  readonly history: History;
  readonly traffic: Traffic;
  readonly database: TestDatabase;
  readonly servers: readonly ServerProcess[];
  /** Emptied by who takes the node away. */
  serving: boolean;
}

type Step = (scene: Scene) => Promise<void>;

/** One run: the bugs, each with the rule that must be broken (`null`: a fault that breaks none), and what is done. */
interface Trial {
  readonly bugs: readonly (readonly [Bug, Rule | null])[];
  readonly steps: readonly Step[];
  /** Whether people who have the relay's contract alone are there too, and somebody who is no contact. */
  readonly others?: boolean;
}

const DEEDS: Readonly<Partial<Record<Deed, number>>> = { send: 60, send_again: 8, send_other_body: 6, page: 4 };
/** Answers between two steps: enough for everything that a bug does now and then. */
const FLOWING = 120;
const FLOWING_MS = 30_000;
/** While all is well two seconds are the rule; a busy machine needs more. */
const DELIVERED_MS = 5_000;
/** What somebody sets is known at once at the only node; a change of how they are is told with the next look. */
const TOLD_MS = 2_000;
const AT_ONCE = 4;
const ALL_MS = 400_000;
const SEED = Number(process.env["CHAOS_SEED"] ?? crypto.getRandomValues(new Uint32Array(1))[0]);

/** Waits until people were answered so many times more. */
async function flow({ history }: Scene, count = FLOWING): Promise<void> {
  const { operations } = history;
  const first = operations.length;
  const answered = () => operations.slice(first).filter(({ outcome }) => outcome.type === "ok").length >= count;
  await waitUntil(`${count} more are answered`, answered, FLOWING_MS);
}

/** Every device loses its socket, and comes back with something unacknowledged. */
const cutSockets: Step = async (scene) => {
  for (const device of scene.traffic.devices) {
    const fault = scene.history.fault("socket-cut", { type: "account", account: device.account.id });
    device.cut(false);
    await waitUntil("the device is back", () => device.node !== null);
    scene.history.healed(fault);
  }
  await flow(scene);
};

/** Everybody writes to where they are not. */
const writeFromOutside: Step = async ({ traffic, history }) => {
  for (const device of traffic.devices) {
    const elsewhere = traffic.conversations.find((id) => !traffic.members.inside(id, device.account.id));
    if (elsewhere !== undefined) device.send(elsewhere, "from outside");
  }
  await settle(history);
};

/** Everybody acknowledges what was never sent. */
const acknowledgeAhead: Step = async ({ traffic, history }) => {
  for (const device of traffic.devices) {
    const [conversation] = device.cursors.keys();
    if (conversation !== undefined) device.acknowledgeAhead(conversation, 1_000);
  }
  await settle(history);
};

/** Everybody blocks somebody. */
const block: Step = async (scene) => {
  const { traffic, servers } = scene;
  for (const device of traffic.devices) await traffic.changeBlock(device, { name: "1", url: servers[0]?.url ?? "" });
  await flow(scene);
};

/** Everybody changes what was said, and reads it afterwards. */
const changeMessages: Step = async (scene) => {
  const { traffic, servers } = scene;
  const node = { name: "1", url: servers[0]?.url ?? "" };
  for (const device of traffic.devices) await traffic.changeAndRead(device, node);
  await flow(scene);
};

/** Everybody sets that others are told less of them, goes on reading, and asks how far everything got. */
const keepToThemselves =
  (what: "marks" | "presence"): Step =>
  async (scene) => {
    const { traffic, servers } = scene;
    const node = { name: "1", url: servers[0]?.url ?? "" };
    for (const device of traffic.devices) await traffic.changePrivacy(device, node, what);
    await readOn(scene);
  };

/** Everybody reads, some say that they are away, and for long enough that every node should know what was set. */
const readOn: Step = async (scene) => {
  const until = performance.now() + 2 * TOLD_MS;
  do {
    for (const device of scene.traffic.devices) {
      for (const conversation of scene.traffic.conversationsOf(device.account)) device.read(conversation);
    }
    await flow(scene, 40);
  } while (performance.now() < until);
};

/** Waits until somebody who has the relay's contract alone passed a message over, and looked again. */
const confirmSome: Step = async ({ history }) => {
  const passedOver = () => {
    const inboxes = history.operations.filter((operation) => operation.kind === "inbox");
    const confirms = history.operations.filter((operation) => operation.kind === "confirm");
    return confirms.some(({ input: { account, message }, invokedAt, outcome }) => {
      const own = inboxes.filter(({ input }) => input.account === account);
      const shown = own.findLast((inbox) => inbox.outcome.type === "ok" && inbox.outcome.at < invokedAt)?.outcome;
      if (outcome.type !== "ok" || shown?.type !== "ok") return false;
      const { messages } = shown.answer;
      const place = messages.findIndex(({ id }) => id === message);
      // Of the same sender: the relay keeps a log for each pair.
      const older = messages.slice(0, Math.max(0, place)).filter(({ sender }) => sender === messages[place]?.sender);
      return older.some(({ id }) => {
        const taken = confirms.find(({ input }) => input.account === account && input.message === id);
        const before = taken?.invokedAt ?? Infinity;
        return own.some((inbox) => {
          const { type } = inbox.outcome;
          return type === "ok" && inbox.invokedAt > outcome.at && inbox.outcome.at < before;
        });
      });
    });
  };
  await waitUntil("a message is passed over", passedOver, FLOWING_MS);
};

const signOut: Step = async ({ traffic, servers }) => {
  const [device] = traffic.devices;
  await device?.signOut({ name: "1", url: servers[0]?.url ?? "" });
};

/** The node is killed while nothing can be stored in one conversation: what it acknowledged meanwhile is lost. */
const killWhileHeld: Step = async (scene) => {
  const { history, traffic, database, servers } = scene;
  const [server] = servers;
  const [conversation] = traffic.conversations;
  if (server === undefined || conversation === undefined) throw new Error("Start a server first");
  const fault = history.fault("node-killed", { type: "all" });
  const { release } = await holdHead(database.db, conversation);
  for (const device of traffic.devices) {
    if (traffic.members.inside(conversation, device.account.id)) device.send(conversation, "last words");
  }
  await settle(history);
  scene.serving = false;
  await server.signal("SIGKILL");
  await release();
  await server.startAgain();
  scene.serving = true;
  history.healed(fault);
  await flow(scene);
};

/** Moves somebody until there are people on both nodes: so one of the dms, which are a chain, goes through Redis. */
async function spread({ devices }: Traffic): Promise<void> {
  await waitUntil("people are on both nodes", () => {
    const nodes = new Set(devices.map(({ node }) => node));
    if (nodes.size === 1 && !nodes.has(null)) devices[0]?.hop();
    return nodes.size === 2 && !nodes.has(null);
  });
}

/** Redis forgets everything; who has looked nobody up meanwhile is not told, unless the nodes notice. */
async function emptyRedis({ history, traffic, database }: Scene, redis: TestRedis): Promise<void> {
  await spread(traffic);
  const fault = history.fault("redis-flushed", { type: "all" });
  await redis.command("FLUSHALL");
  history.healed(fault);
  await flow({ history } as Scene);
  await traffic.stop(10_000);
  await catchUp(traffic, database.db, DELIVERED_MS + 2_000);
}

/** Waits until every open socket had a round trip that began from now on. */
async function settle(history: History): Promise<void> {
  const from = history.tick();
  const open = history.connections.filter(({ closed }) => closed === null);
  const settled = () =>
    open.every(
      ({ closed, events }) => closed !== null || events.some((event) => event.type === "settled" && event.since > from),
    );
  await waitUntil("every socket answers", settled);
}

/** Runs one trial on servers of its own. */
async function run({ bugs, steps, others = false }: Trial, redis: TestRedis | null = null): Promise<Judgement> {
  const program = bugs.length === 0 ? undefined : ["tests/support/faulty/server.ts", ...bugs.map(([bug]) => bug)];
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createTestDatabase());
  const variables = { DATABASE_URL: database.url, ...(redis === null ? {} : { REDIS_URL: redis.url }) };
  const start = async () => stack.use(await ServerProcess.start(variables, program));
  const servers = await Promise.all(Array.from({ length: redis === null ? 1 : 2 }, start));
  const history = new History();
  const serving = () => (scene?.serving === false ? [] : servers.map(({ url }, i) => ({ name: String(i + 1), url })));
  let scene: Scene | undefined;
  const traffic = stack.use(
    await Traffic.start({
      ...{ history, chance: new Chance(SEED), nodes: serving },
      ...{ people: 4, devicesEach: 1, paceMs: 60, deeds: DEEDS, others },
    }),
  );
  scene = { history, traffic, database, servers, serving: true };
  await flow(scene);
  for (const step of steps) await step(scene);
  await traffic.stop(10_000);
  history.finish(await readLogs(database.db));
  // Only what Redis forgot must be found by its time.
  return check(history, { deliveredMs: redis === null ? 4 * DELIVERED_MS : DELIVERED_MS, settledMs: TOLD_MS });
}

const TRIALS: readonly Trial[] = [
  {
    bugs: [],
    steps: [
      ...[cutSockets, block, changeMessages, writeFromOutside, acknowledgeAhead, signOut],
      ...[keepToThemselves("marks"), keepToThemselves("presence"), confirmSome, killWhileHeld],
    ],
    others: true,
  },
  { bugs: [["drops frames", null]], steps: [cutSockets] },
  { bugs: [["keeps the sockets of ended sessions", "S20"]], steps: [cutSockets, signOut] },
  { bugs: [["acknowledges before the commit", "S1"]], steps: [killWhileHeld] },
  { bugs: [["skips an entry when a device comes back", "S6"]], steps: [cutSockets, cutSockets] },
  { bugs: [["stores a repeat as a new message", "S9"]], steps: [cutSockets] },
  { bugs: [["acknowledges another body under a stored id", "S9"]], steps: [cutSockets] },
  { bugs: [["writes two batches of a conversation at once", "S10"]], steps: [cutSockets] },
  { bugs: [["does not judge members under the lock", "S13"]], steps: [cutSockets, writeFromOutside] },
  { bugs: [["takes a dropped frame for sent", "S7"]], steps: [cutSockets] },
  { bugs: [["sends events out of order", "S6"]], steps: [cutSockets] },
  { bugs: [["alters a byte", "S3"]], steps: [cutSockets] },
  { bugs: [["accepts acknowledgements of what was never sent", "S14"]], steps: [cutSockets, acknowledgeAhead] },
  { bugs: [["sends what is said to who blocks the sender", "S24"]], steps: [cutSockets, block] },
  { bugs: [["shows what was deleted", "S25"]], steps: [cutSockets, changeMessages] },
  // Bugs that break different rules, and not each other, share a server.
  {
    bugs: [
      ["tells of more than was acknowledged", "S14"],
      ["takes what came before for confirmed", "S27"],
      ["shows people to who is no contact", "S29"],
    ],
    steps: [cutSockets, confirmSome],
    others: true,
  },
  {
    bugs: [
      ["takes what was given for read", "S26"],
      ["does not look again at what somebody has set", "S28"],
    ],
    steps: [cutSockets, keepToThemselves("marks")],
  },
  {
    bugs: [
      ["forgets what was read", "S26"],
      ["tells marks although one blocks the other", "S28"],
      ["says at once that somebody has gone", "S29"],
    ],
    steps: [cutSockets, block, readOn, cutSockets],
  },
];

/** Judges by trial; several run at once, because most of each is waiting. */
async function runAll(): Promise<Map<Trial, Judgement | Error>> {
  const judged = new Map<Trial, Judgement | Error>();
  const waiting = [...TRIALS];
  const work = async () => {
    for (let trial = waiting.shift(); trial !== undefined; trial = waiting.shift())
      judged.set(trial, await run(trial).catch((error) => error));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return judged;
}

function expectVerdict(judged: Judgement | Error | undefined, rule: Rule | null): void {
  if (judged === undefined || judged instanceof Error) throw judged ?? new Error("The trial did not run");
  if (rule === null) expect(judged.violations).toEqual([]);
  else expect(judged.violations.map((violation) => violation.rule)).toContain(rule);
  expect([judged.verdict, judged.reasons]).toEqual([rule === null ? "holds" : "violated", []]);
}

describe(`check() of real servers, seed ${SEED}`, () => {
  let judged: Map<Trial, Judgement | Error>;
  beforeAll(async () => {
    judged = await runAll();
  }, ALL_MS);

  for (const trial of TRIALS) {
    const parts = trial.bugs.length === 0 ? ([["is as it should be", null]] as const) : trial.bugs;
    for (const [bug, rule] of parts) {
      const title = rule === null ? `holds of a server that ${bug}` : `catches one that ${bug} [${rule}]`;
      test(title, () => expectVerdict(judged.get(trial), rule));
    }
  }
});

describeWithRedis(`check() of two real nodes, seed ${SEED}`, () => {
  for (const bug of [null, "says nothing after Redis was emptied"] as const) {
    const title =
      bug === null ? "holds of nodes that notice when Redis was emptied" : `catches nodes of which each ${bug} [HEAL]`;
    test(
      title,
      async () => {
        await using redis = await TestRedis.start();
        const steps: Step[] = [(scene) => emptyRedis(scene, redis)];
        const bugs = bug === null ? [] : ([[bug, "HEAL"]] as const);
        expectVerdict(await run({ bugs, steps }, redis), bug === null ? null : "HEAL");
      },
      ALL_MS,
    );
  }
});
