/** The checker knows how far messages may be said to have got, who may be told, and what waits by the relay's contract. */
import { describe, expect, test } from "bun:test";
import type { AccountId, MessageId } from "../../../src/protocol/mod.ts";
import { check, type Rule } from "../../support/history/checker.ts";
import type {
  AnyOperation,
  ConnectionEvent,
  Inbox,
  Operation,
  Snapshot,
  Status,
} from "../../support/history/history.ts";
import { Model, type Socket } from "./model.ts";
import { confirm, inbox, relay } from "./model_relay.ts";
import type { Mutable } from "./scene.ts";

/**
 * A group of three and a dm of the first two, on two nodes. Ann says 2, 3, 4 to the group; Ben acknowledges all
 * and reads 3, Cem acknowledges 3. In the dm 2 is read, 3 said while Ben blocks Ann, and 4 after that. Cem's
 * marks are off in the end; Dora and Eve have the relay's contract alone.
 */
function scene() {
  const model = new Model();
  const [ann, ben, cem] = [model.person(), model.person(), model.person()] as const;
  const [dora, eve] = [model.person(), model.person()] as const;
  const group = model.open(ann, [ben, cem]);
  const dm = model.dm(ann, ben);
  const box = model.dm(dora, eve);
  const [a, b, c] = [model.connect(ann, "1"), model.connect(ben, "2"), model.connect(cem, "1")] as const;
  const fault = model.history.fault("redis-flushed", { type: "all" });
  model.send(a, group);
  model.acknowledge(b, group);
  model.markRead(b, group, 2);
  model.send(a, group);
  model.history.healed(fault);
  model.acknowledge(c, group);
  model.acknowledge(b, group);
  model.markRead(b, group, 3);
  model.send(a, group);
  model.acknowledge(b, group);
  for (const socket of [a, b, c]) model.settle(socket);
  const page = model.page(ann, "1", group, 0);
  const list = model.snapshot(ben, "2", group);
  model.send(a, dm);
  model.acknowledge(b, dm);
  model.markRead(b, dm, 2);
  model.settle(b);
  model.block("block", ben, ann);
  model.pass(11_000);
  model.send(a, dm);
  model.acknowledge(b, dm);
  const blocked = model.page(ann, "1", dm, 0);
  const whileBlocked = model.history.tick();
  model.block("unblock", ben, ann);
  model.set(cem, { readReceipts: false });
  model.pass(11_000);
  model.acknowledge(c, group);
  model.markRead(c, group, 4);
  model.markRead(b, group, 4);
  for (const socket of [a, b, c]) model.settle(socket);
  const silent = model.page(ann, "2", group, 0);
  model.send(c, group); // 5
  model.send(a, dm); // 4
  model.markRead(b, dm, 4);
  model.settle(b);
  const sent = [1, 2, 3].map(() => idOf(relay(model, dora, eve, box)));
  const all = inbox(model, eve, box, "1");
  confirm(model, eve, sent[2] as MessageId);
  const rest = inbox(model, eve, box, "2");
  const relayed = model.page(dora, "1", box, 0);
  const last = [model.page(ann, "1", group, 0), model.page(ann, "2", dm, 0)] as const;
  model.history.atRest = new Set(last as readonly unknown[] as AnyOperation[]);
  const people = { ann, ben, cem, dora, eve };
  const reads = { page, list, blocked, silent, all, rest, relayed, last };
  return { model, history: model.finish(), group, dm, a, b, c, whileBlocked, sent, ...people, ...reads };
}

type Scene = ReturnType<typeof scene>;

function idOf({ outcome }: Operation<"relay">): MessageId {
  if (outcome.type !== "ok") throw new Error("Send it first");
  return outcome.answer.id;
}

function setStatus({ outcome }: Operation<"page">, seq: number, status: Status): void {
  if (outcome.type === "ok") (outcome.answer.statuses as Map<number, Status>).set(seq, status);
}

function summary({ outcome }: Operation<"snapshot">): Mutable<Snapshot> {
  const [one] = outcome.type === "ok" ? outcome.answer : [];
  if (one === undefined) throw new Error("Read the list first");
  return one;
}

function waiting({ outcome }: Operation<"inbox">): Inbox["messages"][number][] {
  return outcome.type === "ok" ? (outcome.answer.messages as Inbox["messages"][number][]) : [];
}

/** Has a socket be told something, in its place among the others. */
function tell({ connection }: Socket, at: number, event: object): void {
  const place = connection.events.findIndex((other) => other.at > at);
  connection.events.splice(place < 0 ? connection.events.length : place, 0, { at, ...event } as ConnectionEvent);
}

function mark(
  type: "read_told" | "delivered_told",
  { account }: { account: AccountId },
  { group }: Scene,
  seq: number,
) {
  return { type, conversation: group, account, seq };
}

const LATE = 1e6;

const LIES: readonly [what: string, rule: Rule, tell: (scene: Scene) => unknown][] = [
  [
    "a delivered mark is beyond what was acknowledged",
    "S14",
    (s) => tell(s.a, s.page.invokedAt, mark("delivered_told", s.cem, s, 4)),
  ],
  ["a delivered mark goes back", "S14", (s) => tell(s.a, LATE, mark("delivered_told", s.ben, s, 3))],
  [
    "a delivered mark is told before anything was acknowledged",
    "S14",
    (s) => tell(s.a, s.a.connection.openedAt, mark("delivered_told", s.ben, s, 2)),
  ],
  ["a delivered mark is beyond the log", "S14", (s) => tell(s.a, LATE, mark("delivered_told", s.ben, s, 9))],
  ["a read mark is told that nobody set", "S14", (s) => tell(s.a, LATE, mark("read_told", s.ben, s, 1))],
  ["a page says delivered of what one has not", "S26", ({ page }) => setStatus(page, 4, "delivered")],
  ["a page says read of what one has not read", "S26", ({ page }) => setStatus(page, 2, "read")],
  ["a page says sent of what all have", "S26", ({ last }) => setStatus(last[0], 3, "sent")],
  ["a page says delivered of what was read, at rest", "S26", ({ last }) => setStatus(last[1], 4, "delivered")],
  ["a page gives a status to what somebody else said", "S26", ({ last }) => setStatus(last[0], 5, "sent")],
  ["a list says less than was read", "S26", ({ list }) => Object.assign(summary(list), { read: 2, unread: 2 })],
  ["a list says more than was read", "S26", ({ list }) => Object.assign(summary(list), { read: 4, unread: 0 })],
  ["a list counts too few that are unread", "S26", ({ list }) => Object.assign(summary(list), { unread: 0 })],
  ["a relayed message is delivered before it is confirmed", "S26", ({ relayed }) => setStatus(relayed, 2, "delivered")],
  ["a confirmed message is not delivered", "S26", ({ relayed }) => setStatus(relayed, 4, "sent")],
  ["what was not confirmed is not listed", "S27", ({ rest }) => waiting(rest).shift()],
  ["what was confirmed is listed again", "S27", ({ rest, all }) => waiting(rest).push(...waiting(all).slice(2))],
  ["what waits is not in its order", "S27", ({ all }) => waiting(all).reverse()],
  [
    "what waits was sent to somebody else",
    "S27",
    ({ history, eve }) => {
      const relay = history.operations.find(({ kind }) => kind === "relay") as Operation<"relay">;
      Object.assign(relay, { input: { ...relay.input, recipient: relay.input.account, eve } });
    },
  ],
  [
    "somebody confirms what was not sent to them",
    "S27",
    ({ model, dora, sent }) => confirm(model, dora, sent[0] as MessageId),
  ],
  [
    "a confirmation of what was sent is refused",
    "S27",
    ({ history, eve, sent }) => {
      const { account, session } = eve;
      history
        .begin("confirm", { account, session, node: "1", message: sent[0] as MessageId })
        .refused("not_found", false);
    },
  ],
  [
    "a repeat is another message",
    "S27",
    ({ history, model, dora }) => {
      const { input } = history.operations.find(({ kind }) => kind === "relay") as Operation<"relay">;
      history.begin("relay", input).ok({ id: model.person(dora.account).device as string as MessageId });
    },
  ],
  ["a read mark is told of who gives none", "S28", (s) => tell(s.a, LATE, mark("read_told", s.cem, s, 4))],
  ["a read mark is told to who gets none", "S28", (s) => tell(s.c, LATE, mark("read_told", s.ben, s, 4))],
  [
    "a delivered mark is told to whom its reader blocks",
    "S28",
    (s) => tell(s.a, s.whileBlocked, { ...mark("delivered_told", s.ben, s, 2), conversation: s.dm }),
  ],
  [
    "a mark is told to who is not in the conversation",
    "S28",
    (s) => tell(s.c, LATE, { ...mark("read_told", s.ben, s, 2), conversation: s.dm }),
  ],
  [
    "somebody is told what was delivered to themselves",
    "S28",
    (s) => tell(s.b, LATE, mark("delivered_told", s.ben, s, 4)),
  ],
  ["a page says read of who gives no marks", "S28", ({ silent }) => setStatus(silent, 2, "read")],
  ["a status goes on while one blocks the other", "S28", ({ blocked }) => setStatus(blocked, 3, "delivered")],
];

describe("check() of receipts", () => {
  test("finds nothing where they hold", () => {
    const right = scene();
    const { violations, verdict } = check(right.history);
    expect(violations).toEqual([]);
    expect(verdict).toBe("holds");
    const shown = ({ outcome }: Operation<"page">) =>
      outcome.type === "ok" ? [...outcome.answer.statuses.values()] : [];
    expect(shown(right.page)).toEqual(["delivered", "delivered", "sent"]);
    expect(shown(right.blocked)).toEqual(["read", "sent"]);
    expect(shown(right.silent)).toEqual(["delivered", "delivered", "delivered"]);
    expect(shown(right.relayed)).toEqual(["sent", "sent", "delivered"]);
  });

  for (const [what, rule, tell] of LIES) {
    test(`finds that ${what} [${rule}]`, () => {
      const lie = scene();
      tell(lie);
      expect([...new Set(check(lie.history).violations.map((one) => one.rule))]).toEqual([rule]);
    });
  }

  test("allows a lower mark from another node, and after a node began anew", () => {
    const right = scene();
    const { b, ben, group, model } = right;
    const other = model.connect(model.person(ben.account), "1");
    other.connection.note({ type: "acknowledged", conversation: group, seq: 3 });
    tell(right.a, LATE, mark("delivered_told", b.person, right, 3));
    expect(check(model.finish()).violations).toEqual([]);
  });
});
