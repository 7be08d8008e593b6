/** The checker knows what edits, deletions and reactions change: what may be shown after them, and what the log must hold. */
import { describe, expect, test } from "bun:test";
import { check, type Rule } from "../../support/history/checker.ts";
import type { Entry } from "../../support/history/entry.ts";
import type { StoredLog } from "../../support/history/history.ts";
import { Model } from "./model.ts";
import { change, type Mutable } from "./scene.ts";

/** A group: 2 is edited by 4, 3 is edited by 5, reacted to by 6 and deleted by 7; 8 reacts to 2. */
function scene() {
  const model = new Model();
  const [ann, ben] = [model.person(), model.person()] as const;
  const group = model.open(ann, [ben]);
  const a = model.connect(ann, "1");
  const b = model.connect(ben, "2");
  const fault = model.history.fault("redis-flushed", { type: "all" });
  const [one, two] = [model.send(a, group), model.send(a, group)];
  model.history.healed(fault);
  model.changeMessage("edit", ann, one);
  const first = model.page(ben, "1", group, 0);
  model.changeMessage("edit", ann, two);
  model.changeMessage("react", ben, two);
  const full = (first.outcome.type === "ok" ? first.outcome.answer.entries : [])[2] as Entry;
  model.changeMessage("delete", ann, two);
  model.changeMessage("react", ben, one);
  const page = model.page(ben, "1", group, 0);
  const late = model.connect(model.person(ben.account), "1");
  model.pass(6_000);
  const history = model.finish();
  const log = history.final?.logs[0] as Mutable<StoredLog> & { entries: Entry[] };
  const shown = (page.outcome.type === "ok" ? page.outcome.answer.entries : []) as Entry[];
  return { model, history, log, a, b, late, shown, full, two };
}

type Scene = ReturnType<typeof scene>;
const at = (entries: readonly Entry[], seq: number) => entries[seq - 1] as Entry;
const EMPTY = { kind: "tombstone", body: null } as const;

const LIES: readonly [what: string, rule: Rule, tell: (scene: Scene) => unknown][] = [
  ["a page shows what was deleted before", "S25", ({ shown, full }) => shown.splice(2, 1, full)],
  ["a device that comes later is sent what was deleted", "S25", ({ late, full }) => change(late.connection, 3, full)],
  ["the log holds what was deleted", "S25", ({ log, full }) => log.entries.splice(2, 1, full)],
  [
    "the log holds an edit of what was deleted",
    "S25",
    ({ log, two }) => Object.assign(at(log.entries, 5), { kind: "edit", body: "x", target: two.id, said: "x" }),
  ],
  ["an answered edit is not in the log", "S25", ({ log }) => Object.assign(at(log.entries, 4), { said: "other" })],
  [
    "a deletion is not in the log",
    "S25",
    ({ log }) => Object.assign(at(log.entries, 7), { ...EMPTY, target: undefined }),
  ],
  [
    "a page shows an older version than was answered",
    "S25",
    ({ log, shown }) => {
      const { version: _, ...old } = at(shown, 2);
      shown[1] = { ...old, body: at(log.entries, 2).body };
    },
  ],
  ["a page shows a version that nobody wrote", "S25", ({ shown }) => Object.assign(at(shown, 2), { body: "forged" })],
  [
    "an edit is shown as one of another message",
    "S25",
    ({ log }) => {
      const edit = at(log.entries, 4);
      log.entries[3] = { ...edit, target: at(log.entries, 1).id };
    },
  ],
  ["an answered reaction is not there", "S25", ({ log }) => Object.assign(at(log.entries, 8), { added: false })],
  [
    "a reaction is there twice",
    "S25",
    ({ log }) => Object.assign(at(log.entries, 6), { ...at(log.entries, 8), seq: 6, id: at(log.entries, 6).id }),
  ],
];

describe("check() of changed messages", () => {
  test("finds nothing where they hold", () => {
    const { violations, verdict } = check(scene().history);
    expect(violations).toEqual([]);
    expect(verdict).toBe("holds");
  });

  for (const [what, rule, tell] of LIES) {
    test(`finds that ${what} [${rule}]`, () => {
      const lie = scene();
      tell(lie);
      expect(check(lie.history).violations.map((one) => one.rule)).toContain(rule);
    });
  }

  test("allows who blocks the version from before the block", () => {
    const model = new Model();
    const [ann, ben] = [model.person(), model.person()] as const;
    const dm = model.dm(ann, ben);
    const a = model.connect(ann, "1");
    const said = model.send(a, dm);
    model.changeMessage("edit", ann, said);
    model.block("block", ben, ann);
    model.changeMessage("edit", ann, said);
    for (const who of [ann, ben]) model.page(who, "1", dm, 0);
    expect(check(model.finish()).violations).toEqual([]);
  });
});
