/** The checker finds every kind of lie, each under its own rule, and none in what is true. */
import { describe, expect, test } from "bun:test";
import { check } from "../../support/history/checker.ts";
import type { History } from "../../support/history/history.ts";
import { LIES } from "./lies.ts";
import { Model } from "./model.ts";
import { scene } from "./scene.ts";

describe("check()", () => {
  test("finds nothing in a history that is right", () => {
    const judged = check(scene().history);
    expect(judged.violations).toEqual([]);
    expect(judged.reasons).toEqual([]);
    expect(judged.verdict).toBe("holds");
    expect(judged.counts).toMatchObject({ unknown: 1, faults: 1, faultsInTraffic: 1, stored: 25 });
  });

  for (const [what, rule, tell] of LIES) {
    test(`finds that ${what} [${rule}]`, () => {
      const lie = scene();
      tell(lie);
      const { verdict, violations } = check(lie.history);
      expect({ verdict, rules: [...new Set(violations.map((one) => one.rule))] }).toEqual({
        verdict: "violated",
        rules: [rule],
      });
    });
  }
});

describe("check() does not know", () => {
  const unknown = (history: History, reason: RegExp) => {
    const judged = check(history);
    expect(judged.violations).toEqual([]);
    expect(judged.verdict).toBe("unknown");
    expect(judged.reasons.join("\n")).toMatch(reason);
  };

  test("of an empty history", () => unknown(new Model().finish(), /nothing was done/));

  test("of a history without its final read", () => {
    const { history } = scene();
    history.final = null;
    unknown(history, /was not read/);
  });

  test("of a run in which fewer than half of the operations were answered", () => {
    const model = new Model();
    const ann = model.person();
    const id = model.open(ann, []);
    const socket = model.connect(ann, "1");
    const fault = model.history.fault("node-killed", { type: "all" });
    for (let i = 0; i < 10; i++) model.send(socket, id, i < 3 ? "answered" : "answer lost");
    model.history.healed(fault);
    unknown(model.finish(), /4 of 11 operations/);
  });

  test("of a run in which a fault that was planned did not take place", () => {
    const { history } = scene();
    history.planned.push("redis-flushed", "node-killed");
    unknown(history, /node-killed did not take place/);
  });

  test("of a run in which no fault hit traffic", () => {
    const { history } = scene();
    const [fault] = history.faults;
    Object.assign(fault as object, { hit: { type: "node", node: "9" } });
    unknown(history, /no fault hit traffic/);
  });

  test("of a run whose fault was never healed", () => {
    const { history } = scene();
    const [fault] = history.faults;
    Object.assign(fault as object, { to: null });
    unknown(history, /never healed/);
  });
});
