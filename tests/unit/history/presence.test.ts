/** The checker knows to whom somebody may be shown, when they may be said to be offline, and how often they may change. */
import { describe, expect, test } from "bun:test";
import { check } from "../../support/history/checker.ts";
import type { ConnectionEvent } from "../../support/history/history.ts";
import { Model, type Socket } from "./model.ts";

/**
 * Ann, Ben and Cem share a group, Ann and Ben a dm; Dora is in none of them. Ben hides, and shows himself again;
 * Cem blocks Ben; Ann goes, and is offline after her time.
 */
function scene() {
  const model = new Model();
  const [ann, ben, cem, dora] = [model.person(), model.person(), model.person(), model.person()] as const;
  const group = model.open(ann, [ben, cem]);
  const [a, b, c, d] = [
    model.connect(ann, "1"),
    model.connect(ben, "2"),
    model.connect(cem, "1"),
    model.connect(dora, "2"),
  ] as const;
  for (const person of [ann, ben, cem]) model.show(person, "online");
  const fault = model.history.fault("redis-flushed", { type: "all" });
  model.send(a, group);
  model.history.healed(fault);
  model.pass(80_000);
  const quiet = model.history.tick();
  model.set(ben, { hidden: true });
  model.pass(31_000);
  const hidden = model.history.tick();
  model.pass(31_000);
  model.set(ben, { hidden: false });
  model.show(ben, "online");
  model.pass(100_000);
  const shown = model.history.tick();
  model.pass(40_000);
  model.show(ben, "away");
  model.pass(31_000);
  model.show(ben, "online");
  model.block("block", cem, ben);
  model.pass(31_000);
  const blocked = model.history.tick();
  model.close(a, true);
  model.pass(31_000);
  model.show(ann, "offline");
  model.pass(1_000);
  return { model, history: model.finish(), ann, ben, cem, dora, a, b, c, d, quiet, hidden, shown, blocked };
}

type Scene = ReturnType<typeof scene>;

function tell({ connection }: Socket, at: number, { person }: Socket, status: string): void {
  const place = connection.events.findIndex((other) => other.at > at);
  const event = { type: "presence_told", at, account: person.account, status } as ConnectionEvent;
  connection.events.splice(place < 0 ? connection.events.length : place, 0, event);
}

/** Takes out what a socket was told of somebody. */
function forget({ connection }: Socket, { person }: Socket, status: string): void {
  const events = connection.events as ConnectionEvent[];
  const place = events.findIndex(
    (event) => event.type === "presence_told" && event.account === person.account && event.status === status,
  );
  if (place < 0) throw new Error("Tell it first");
  events.splice(place, 1);
}

const LIES: readonly [what: string, tell: (scene: Scene) => unknown][] = [
  ["somebody is told of who is no contact", ({ a, d, quiet }) => tell(d, quiet, a, "online")],
  ["who is no contact is told of", ({ b, d, quiet }) => tell(b, quiet, d, "offline")],
  ["somebody is told of themselves", ({ b, quiet }) => tell(b, quiet, b, "online")],
  ["who hides is shown", ({ a, b, hidden }) => tell(a, hidden, b, "away")],
  ["who hides was never said to be offline", ({ a, b }) => forget(a, b, "offline")],
  ["who is blocked is shown to who blocks", ({ b, c, blocked }) => tell(c, blocked, b, "online")],
  ["who blocks is shown to the blocked", ({ b, c, blocked }) => tell(b, blocked, c, "online")],
  ["who blocks was never said to be offline", ({ b, c }) => forget(b, c, "offline")],
  ["somebody is offline at once", ({ b, a, blocked }) => tell(b, blocked + 2_000, a, "offline")],
  ["somebody who is there is offline", ({ a, c, shown }) => tell(a, shown, c, "offline")],
  [
    "somebody changes again and again",
    ({ a, b, shown }) => {
      for (const [place, status] of ["away", "online", "away"].entries()) tell(a, shown + place * 5_000, b, status);
    },
  ],
];

describe("check() of presence", () => {
  test("finds nothing where it holds", () => {
    const { history } = scene();
    const { violations, verdict } = check(history);
    expect(violations).toEqual([]);
    expect(verdict).toBe("holds");
  });

  for (const [what, tell] of LIES) {
    test(`finds that ${what} [S29]`, () => {
      const lie = scene();
      tell(lie);
      expect([...new Set(check(lie.history).violations.map((one) => one.rule))]).toEqual(["S29"]);
    });
  }

  test("concludes nothing from what a fault may have kept from a node", () => {
    const { history, model, a, b, hidden, blocked } = scene();
    const fault = history.fault("redis-stopped", { type: "all" });
    Object.assign(fault, { from: 0, to: blocked + 60_000 });
    tell(a, hidden, b, "away");
    forget(a, b, "offline");
    expect(check(model.finish()).violations).toEqual([]);
  });
});
