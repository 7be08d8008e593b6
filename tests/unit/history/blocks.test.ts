/** The checker knows what a block withholds: what may not be shown, what may be missing, and what may be either. */
import { describe, expect, test } from "bun:test";
import { check, type Rule } from "../../support/history/checker.ts";
import type { Entry } from "../../support/history/entry.ts";
import type { StoredLog } from "../../support/history/history.ts";
import { Model } from "./model.ts";
import { change, remove } from "./scene.ts";

/** A dm on two nodes: 2 said before a block, 3 and 4 while it holds, 5 after its end; and a group beside it. */
function scene() {
  const model = new Model();
  const [ann, ben, cem] = [model.person(), model.person(), model.person()] as const;
  const dm = model.dm(ann, ben);
  const group = model.open(ann, [ben, cem]);
  const a = model.connect(ann, "1");
  const b = model.connect(ben, "2");
  const fault = model.history.fault("redis-flushed", { type: "all" });
  model.send(a, dm);
  model.history.healed(fault);
  model.block("block", ben, ann);
  model.send(a, dm);
  model.send(b, dm);
  model.block("unblock", ben, ann);
  model.send(a, dm);
  model.block("block", ben, ann);
  model.send(a, group); // at 2
  model.pass(6_000);
  const page = model.page(ben, "1", dm, 0);
  const history = model.finish();
  const log = history.final?.logs[0] as StoredLog;
  const bodyOf = (seq: number) => ({ kind: "message", body: (log.entries[seq - 1] as Entry).body }) as const;
  return { model, history, log, a, b, page, bodyOf };
}

type Scene = ReturnType<typeof scene>;

const EMPTY = { kind: "tombstone", body: null } as const;

const LIES: readonly [what: string, rule: Rule, tell: (scene: Scene) => unknown][] = [
  ["who blocks is sent what the blocked said", "S24", ({ b, bodyOf }) => change(b.connection, 3, bodyOf(3))],
  [
    "a page holds what was said during a block that has ended",
    "S24",
    ({ page, bodyOf }) => {
      const entries = page.outcome.type === "ok" ? (page.outcome.answer.entries as Entry[]) : [];
      entries[2] = { ...(entries[2] as Entry), ...bodyOf(3) };
    },
  ],
  ["the sender is not given what is withheld", "S24", ({ a }) => change(a.connection, 3, EMPTY)],
  ["the blocked is not given what the other says", "S24", ({ a }) => change(a.connection, 4, EMPTY)],
  ["who blocks is not given what they said themselves", "S24", ({ b }) => change(b.connection, 4, EMPTY)],
  ["what was said before the block is withheld", "S24", ({ b }) => change(b.connection, 2, EMPTY)],
  ["what was said after the block is withheld", "S24", ({ b }) => change(b.connection, 5, EMPTY)],
  [
    "a block withholds what is said in a group",
    "S24",
    ({ b }) => {
      for (const event of b.connection.events)
        if (event.type === "delivered" && event.entry.sender !== b.person.account && event.entry.seq === 2)
          Object.assign(event, { entry: { ...event.entry, ...EMPTY } });
    },
  ],
  ["the place of what is withheld is never sent, but what comes after is", "S7", ({ b }) => remove(b.connection, 3)],
];

describe("check() of blocks", () => {
  test("finds nothing where they hold", () => {
    const { violations, verdict } = check(scene().history);
    expect(violations).toEqual([]);
    expect(verdict).toBe("holds");
  });

  for (const [what, rule, tell] of LIES) {
    test(`finds that ${what} [${rule}]`, () => {
      const lie = scene();
      tell(lie);
      const { violations } = check(lie.history);
      expect([...new Set(violations.map((one) => one.rule))]).toEqual([rule]);
    });
  }

  test("waits for no place that is withheld at the end of a log", () => {
    const model = new Model();
    const [ann, ben] = [model.person(), model.person()] as const;
    const dm = model.dm(ann, ben);
    const [a, b] = [model.connect(ann, "1"), model.connect(ben, "2")];
    model.block("block", ben, ann);
    model.send(a, dm);
    const history = model.finish();
    remove(b.connection, 2);
    expect(check(history).violations).toEqual([]);
  });

  for (const told of ["block", "unblock"] as const) {
    test(`allows both where nobody knows whether a ${told} happened`, () => {
      const model = new Model();
      const [ann, ben] = [model.person(), model.person()] as const;
      const dm = model.dm(ann, ben);
      const [a, b] = [model.connect(ann, "1"), model.connect(ben, "2")];
      if (told === "unblock") model.block("block", ben, ann);
      model.block(told, ben, ann, true);
      model.send(a, dm);
      const history = model.finish();
      const body = history.final?.logs[0]?.entries[1]?.body ?? null;
      for (const shown of [EMPTY, { kind: "message", body } as const]) {
        change(b.connection, 2, shown);
        expect(check(history).violations).toEqual([]);
      }
    });
  }
});
