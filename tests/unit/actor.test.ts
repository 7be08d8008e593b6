/** The generic actor runtime, with actors that know nothing of chat. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  type ActorRef,
  type Behaviour,
  Mailbox,
  Registry,
  type RegistryOptions,
  Scheduler,
} from "../../src/actor/mod.ts";
import { waitUntil } from "../support/wait.ts";

/** What an actor of these tests may be told. */
type Message =
  | { readonly do: "note"; readonly text: string }
  | { readonly do: "throw"; readonly text: string }
  | { readonly do: "work"; readonly work: Promise<string> }
  | { readonly do: "run"; readonly run: (self: ActorRef<Message>) => void };

/** What happened, in order, of all actors of a test. */
type Diary = string[];

class Worker implements Behaviour<Message> {
  readonly #name: string;
  readonly #self: ActorRef<Message>;
  readonly #diary: Diary;
  readonly #keeps: Set<string>;
  #entered = false;

  constructor(name: string, self: ActorRef<Message>, diary: Diary, keeps: Set<string>) {
    this.#name = name;
    this.#self = self;
    this.#diary = diary;
    this.#keeps = keeps;
  }

  get idle(): boolean {
    return !this.#keeps.has(this.#name);
  }

  receive(message: Message): void {
    if (this.#entered) throw new Error("Entered twice");
    this.#entered = true;
    try {
      if (message.do === "note") this.#diary.push(`${this.#name} ${message.text}`);
      else if (message.do === "run") message.run(this.#self);
      else if (message.do === "throw") throw new Error(message.text);
      else {
        this.#self.pipe(
          message.work,
          (text) => ({ do: "note", text }),
          (error) => ({ do: "note", text: `failed ${String(error)}` }),
        );
      }
    } finally {
      this.#entered = false;
    }
  }

  overflowed(): void {
    this.#diary.push(`${this.#name} overflowed`);
  }

  stopped(): void {
    this.#diary.push(`${this.#name} stopped`);
  }
}

const open: Disposable[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one[Symbol.dispose]();
});

/** A registry of workers, its diary, and those who may not stop. */
function workers(
  options: Partial<RegistryOptions<string, Message>> & {
    readonly brokenRestart?: boolean;
    readonly brokenEnd?: boolean;
  } = {},
) {
  const diary: Diary = [];
  const keeps = new Set<string>();
  const registry = new Registry<string, Message>(
    {
      start: (key, self) => {
        diary.push(`${key} started`);
        return new Worker(key, self, diary, keeps);
      },
      restart: (key, self, _, { error }) => {
        if (options.brokenRestart === true) throw new Error("Cannot restart");
        diary.push(`${key} restarted after ${(error as Error).message}`);
        return new Worker(key, self, diary, keeps);
      },
      gaveUp: (key) => {
        diary.push(`${key} gave up`);
        if (options.brokenEnd === true) throw new Error("Cannot even end");
      },
    },
    {
      mailbox: { items: 100, bytes: 1_000 },
      idleMs: 60_000,
      restarts: 3,
      now: () => Date.now(),
      onFailure: (key, { error }) => void diary.push(`${key} failed: ${(error as Error).message}`),
      ...options,
    },
  );
  open.push(registry);
  return { registry, diary, keeps };
}

const note = (text: string): Message => ({ do: "note", text });
const fail = (text = "oops"): Message => ({ do: "throw", text });
/** After this every turn that was due has been taken. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("mailbox", () => {
  test("offer() keeps the order and refuses what is beyond the bounds", () => {
    const mailbox = new Mailbox<number>({ items: 3, bytes: 10 });
    expect([mailbox.offer(1, 4), mailbox.offer(2, 6), mailbox.offer(3, 1)]).toEqual([true, true, false]);
    expect(mailbox.take()).toBe(1);
    expect([mailbox.offer(3, 1), mailbox.offer(4, 0), mailbox.offer(5, 0)]).toEqual([true, true, false]);
    expect([mailbox.length, mailbox.bytes]).toEqual([3, 7]);
    expect([mailbox.take(), mailbox.take(), mailbox.take(), mailbox.take()]).toEqual([2, 3, 4, undefined]);
    expect([mailbox.length, mailbox.bytes]).toEqual([0, 0]);
  });

  test("offer() takes one message beyond the byte bound when it is empty, so that it cannot be stuck", () => {
    const mailbox = new Mailbox<string>({ items: 3, bytes: 10 });
    expect(mailbox.offer("huge", 1_000)).toBe(true);
    expect(mailbox.offer("small", 0)).toBe(false);
    expect(mailbox.take()).toBe("huge");
    expect(mailbox.offer("small", 1)).toBe(true);
  });
});

describe("actor", () => {
  test("is started once, by its first message, and handles messages one at a time in order", async () => {
    const { registry, diary } = workers();
    for (const key of ["a", "b"]) for (const text of ["1", "2"]) registry.tell(key, note(text));
    registry.tell("a", { do: "run", run: (self) => void self.tell(note("told by itself")) });
    registry.tell("a", note("3"));
    expect(diary).toEqual(["a started", "b started"]);
    await turn();
    expect(diary.filter((line) => line.startsWith("a "))).toEqual([
      "a started",
      "a 1",
      "a 2",
      "a 3",
      "a told by itself",
    ]);
    expect(diary.filter((line) => line.startsWith("b "))).toEqual(["b started", "b 1", "b 2"]);
    expect(registry.size).toBe(2);
  });

  test("tellIfStarted() and find() start nobody", async () => {
    const { registry, diary } = workers();
    expect(registry.tellIfStarted("a", note("lost"))).toBe("absent");
    expect(registry.find("a")).toBeUndefined();
    await turn();
    expect(diary).toEqual([]);
  });

  test("refuses what is beyond its mailbox, handles what it took, and learns of the overflow first", async () => {
    const { registry, diary } = workers({ mailbox: { items: 3, bytes: 1_000 } });
    const told = ["1", "2", "3", "4", "5"].map((text) => registry.tell("a", note(text)));
    expect(told).toEqual(["accepted", "accepted", "accepted", "full", "full"]);
    await turn();
    expect(diary).toEqual(["a started", "a overflowed", "a 1", "a 2", "a 3"]);
    expect(registry.tell("a", note("6"))).toBe("accepted");
    await turn();
    expect(diary.slice(5)).toEqual(["a 6"]);
  });

  test("refuses by bytes too", () => {
    const { registry } = workers({ mailbox: { items: 100, bytes: 10 } });
    expect([
      registry.tell("a", note("1"), 6),
      registry.tell("a", note("2"), 6),
      registry.tell("a", note("3"), 4),
    ]).toEqual(["accepted", "full", "accepted"]);
  });

  test("settle() goes before the mailbox and past its bound", async () => {
    const { registry, diary } = workers({ mailbox: { items: 2, bytes: 1_000 } });
    registry.tell("a", note("1"));
    registry.tell("a", note("2"));
    registry.find("a")?.settle(note("settled"));
    await turn();
    expect(diary).toEqual(["a started", "a settled", "a 1", "a 2"]);
  });

  test("pipe() brings the outcome back as a message, good or bad", async () => {
    const { registry, diary } = workers();
    registry.tell("a", { do: "work", work: Promise.resolve("done") });
    registry.tell("a", { do: "work", work: Promise.reject("broken") });
    registry.tell("a", note("meanwhile"));
    await turn();
    expect(diary).toEqual(["a started", "a meanwhile", "a done", "a failed broken"]);
  });

  test("an actor that throws is restarted, and the messages behind are handled by the new one", async () => {
    const { registry, diary } = workers();
    for (const message of [note("1"), fail(), note("2"), fail("again"), note("3")]) registry.tell("a", message);
    registry.tell("b", note("1"));
    await turn();
    expect(diary.filter((line) => line.startsWith("a "))).toEqual([
      "a started",
      "a 1",
      "a failed: oops",
      "a restarted after oops",
      "a 2",
      "a failed: again",
      "a restarted after again",
      "a 3",
    ]);
    expect(diary).toContain("b 1");
  });

  test("gives up after more failures in a minute than it may have, and begins anew with the next message", async () => {
    const { registry, diary } = workers();
    for (let i = 0; i < 4; i++) registry.tell("a", fail());
    registry.tell("a", note("behind"));
    await turn();
    expect(diary.filter((line) => line === "a restarted after oops")).toHaveLength(3);
    expect(diary.at(-1)).toBe("a gave up");
    expect(registry.size).toBe(0);
    registry.tell("a", note("anew"));
    await turn();
    expect(diary.slice(-2)).toEqual(["a started", "a anew"]);
  });

  test("failures that lie more than a minute apart do not add up", async () => {
    let now = 0;
    const { registry, diary } = workers({ now: () => now });
    for (let i = 0; i < 10; i++) {
      registry.tell("a", fail());
      await turn();
      now += 30_001;
    }
    expect(diary).not.toContain("a gave up");
    expect(registry.size).toBe(1);
  });

  test("one that cannot be restarted is given up, and others go on", async () => {
    const { registry, diary } = workers({ brokenRestart: true });
    registry.tell("a", fail());
    registry.tell("b", note("1"));
    await turn();
    expect(diary).toEqual(["a started", "b started", "a failed: oops", "a failed: Cannot restart", "a gave up", "b 1"]);
  });

  test("one that fails even at its end holds up nobody", async () => {
    const { registry, diary } = workers({ brokenRestart: true, brokenEnd: true });
    registry.tell("a", fail());
    registry.tell("b", note("1"));
    await turn();
    registry.tell("b", note("2"));
    await turn();
    expect(diary.slice(-3)).toEqual(["a failed: Cannot even end", "b 1", "b 2"]);
  });

  test("stops when it has been idle, unless it says that it may not", async () => {
    let now = 0;
    const { registry, diary, keeps } = workers({ idleMs: 20, now: () => now });
    keeps.add("b");
    for (const key of ["a", "b"]) registry.tell(key, note("1"));
    await turn();
    now = 19;
    registry.tell("a", note("2"));
    await turn();
    now = 38;
    expect(registry.size).toBe(2);
    now = 39;
    await waitUntil("the idle one has stopped", () => registry.size === 1);
    expect(diary).toContain("a stopped");
    expect(registry.find("b")).toBeDefined();
    registry.tell("a", note("3"));
    await turn();
    expect(diary.slice(-2)).toEqual(["a started", "a 3"]);
  });

  test("drain() starts nobody new, and those who run go on", async () => {
    const { registry, diary } = workers();
    registry.tell("a", note("1"));
    registry.drain();
    expect([registry.tell("a", note("2")), registry.tell("b", note("1"))]).toEqual(["accepted", "stopped"]);
    await turn();
    expect(diary).toEqual(["a started", "a 1", "a 2"]);
  });

  test("disposing stops everybody, and what is told or settled afterwards is lost without harm", async () => {
    const { registry, diary } = workers();
    registry.tell("a", note("1"));
    const a = registry.find("a");
    registry.tell("b", fail());
    await turn();
    registry[Symbol.dispose]();
    expect(diary.filter((line) => line.endsWith("stopped")).sort()).toEqual(["a stopped", "b stopped"]);
    expect(a?.tell(note("2"))).toBe("stopped");
    a?.settle(note("3"));
    expect(registry.tell("a", note("4"))).toBe("stopped");
    await turn();
    expect(diary.filter((line) => /a [234]/.test(line))).toEqual([]);
  });

  test("a busy actor does not hold up another, nor the event loop", async () => {
    const { registry, diary } = workers({ mailbox: { items: 100_000, bytes: 1_000 } });
    for (let i = 0; i < 10_000; i++) registry.tell("busy", note(String(i)));
    registry.tell("quick", note("1"));
    await turn();
    const at = diary.indexOf("quick 1");
    expect(at).toBeGreaterThan(0);
    expect(at).toBeLessThan(200);
    // The loop has come round before all was handled.
    expect(diary.length).toBeLessThan(10_000);
    await waitUntil("all was handled", () => diary.length === 10_003);
  });
});

test("Scheduler runs who has more again, behind those who wait", async () => {
  const scheduler = new Scheduler();
  const order: string[] = [];
  const runnable = (name: string, turns: number) => {
    let left = turns;
    return { run: () => ({ handled: order.push(name) > 0 ? 1 : 0, more: --left > 0 }) };
  };
  scheduler.schedule(runnable("a", 3));
  scheduler.schedule(runnable("b", 1));
  await turn();
  expect(order).toEqual(["a", "b", "a", "a"]);
});
