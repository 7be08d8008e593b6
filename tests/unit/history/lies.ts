/** Histories that are wrong on purpose: each is the scene with one thing spoiled. */
import type { Rule } from "../../support/history/checker.ts";
import type { Entry } from "../../support/history/entry.ts";
import type { ConnectionEvent, History, Operation } from "../../support/history/history.ts";
import type { Sent } from "./model.ts";
import { change, type Delivered, deliveryOf, insert, type Mutable, remove, type Scene, sendOf } from "./scene.ts";

/** An acknowledged send that left no other trace. */
function claim({ history, a }: Scene, seq: number, changes: Partial<Operation<"send">["input"]> = {}): void {
  const { input, invokedAt } = sendOf(history, 25);
  const send = history.send({ ...input, via: a.connection, ordered: false, ...changes }) as Mutable<Operation<"send">>;
  const answer = { seq, createdAt: 1_700_000_009_999, inOrder: false };
  Object.assign(send, { invokedAt, outcome: { type: "ok", at: invokedAt + 1, answer } });
}

/** Every lie: what the history should not say, the rule that it breaks, and how it came in. */
export const LIES: readonly [what: string, rule: Rule, tell: (scene: Scene) => unknown][] = [
  ["an acknowledged message is lost", "S1", (s) => claim(s, 26, { id: "idlost" as Sent["id"] })],
  [
    "what was refused for good is stored all the same",
    "S1",
    ({ history }) => {
      const send = sendOf(history, 24);
      send.outcome = { type: "refused", at: send.invokedAt + 1, code: "conversation_not_found", retryable: false };
    },
  ],
  [
    "an answered change of members left no trace",
    "S1",
    ({ history, ann, cem, id }) => {
      const asked = { account: ann.account, session: ann.session, node: "1", conversation: id };
      history.begin("membership", { ...asked, change: "remove", accounts: [cem.account] }).ok({ conversation: id });
    },
  ],
  [
    "a phantom is shown",
    "S2",
    ({ a, log }) => {
      const last = deliveryOf(a.connection, 25);
      const entry = { ...last.entry, seq: 26, id: "idphantom", body: "phantom" };
      a.connection.events.push({ ...last, entry: entry as Entry });
      log.lastSeq = 25;
    },
  ],
  [
    "a message is stored that nobody sent",
    "S2",
    ({ history }) => void history.operations.splice(history.operations.indexOf(sendOf(history, 24) as never), 1),
  ],
  ["a byte is altered on its way", "S3", ({ b }) => change(b.connection, 8, { body: "altered" })],
  ["a sender is another on its way", "S3", ({ b, cem }) => change(b.connection, 8, { sender: cem.account })],
  [
    "a byte is altered in the log, and everybody is shown it",
    "S3",
    ({ history, log }) => {
      for (const { events } of history.connections) {
        for (const event of events) {
          if (event.type === "delivered" && event.entry.seq === 25)
            (event as Mutable<Delivered>).entry = { ...event.entry, body: "x" };
        }
      }
      log.entries[24] = { ...(log.entries[24] as Entry), body: "x" };
    },
  ],
  ["a message has another time on another node", "S4", ({ b }) => change(b.connection, 8, { createdAt: 1 })],
  [
    "two messages have changed places on another node",
    "S4",
    ({ b }) => {
      const [one, other] = [deliveryOf(b.connection, 4), deliveryOf(b.connection, 5)];
      [one.entry, other.entry] = [
        { ...other.entry, seq: 4 },
        { ...one.entry, seq: 5 },
      ];
    },
  ],
  [
    "a receipt names another place than the log",
    "S4",
    ({ history }) => {
      const { outcome } = sendOf(history, 25);
      if (outcome.type === "ok") (outcome.answer as Mutable<typeof outcome.answer>).createdAt += 1;
    },
  ],
  ["a head is beyond its log", "S5", ({ log }) => Object.assign(log, { lastSeq: 26 })],
  [
    "a number is missing in the log",
    "S5",
    ({ log }) => {
      const last = log.entries.at(-1) as Entry;
      log.entries.push({ ...last, seq: 27, id: "idgap" as Entry["id"], kind: "notice", body: "gap" });
      log.lastSeq = 27;
    },
  ],
  [
    "a number is given twice",
    "S5",
    ({ log }) => {
      const last = log.entries.at(-1) as Entry;
      log.entries.push({ ...last, id: "idtwice" as Entry["id"], kind: "notice", body: "twice" });
    },
  ],
  [
    "two entries are pushed out of order",
    "S6",
    ({ b }) => {
      const { events } = b.connection;
      const [one, other] = [events.indexOf(deliveryOf(b.connection, 8)), events.indexOf(deliveryOf(b.connection, 9))];
      [events[one], events[other]] = [events[other] as ConnectionEvent, events[one] as ConnectionEvent];
    },
  ],
  [
    "an entry is sent twice on one socket",
    "S6",
    ({ b }) => insert(b.connection, deliveryOf(b.connection, 9), deliveryOf(b.connection, 8)),
  ],
  ["a resume begins beyond its cursor + 1", "S6", ({ again }) => remove(again.connection, 11, 12)],
  ["a cursor passes an entry that was not delivered", "S7", ({ b }) => remove(b.connection, 12)],
  [
    "a stored cursor is beyond what was acknowledged",
    "S7",
    ({ log, c }) => {
      log.cursors = log.cursors.map((cursor) =>
        cursor.device === c.person.device ? { ...cursor, acknowledged: 25 } : cursor,
      );
    },
  ],
  [
    "what was acknowledged long ago comes again",
    "S8",
    ({ again, c }) => {
      const first = again.connection.events[0] as ConnectionEvent;
      // As long ago as an acknowledgement may take to the database.
      for (const event of c.connection.events)
        if (event.type === "acknowledged") (event as Mutable<ConnectionEvent>).at -= 60_000;
      insert(again.connection, first, deliveryOf(c.connection, 10));
    },
  ],
  [
    "an id is stored twice",
    "S8",
    ({ log }) => {
      log.entries.push({ ...(log.entries.at(-1) as Entry), seq: 26 });
      log.lastSeq = 26;
    },
  ],
  [
    "two attempts of one id get two answers",
    "S9",
    (s) => {
      const { input } = sendOf(s.history, 24);
      claim(s, 23, { id: input.id, body: input.body, account: input.account });
    },
  ],
  [
    "another body is acknowledged under the same id",
    "S9",
    (s) => {
      const { input, outcome } = sendOf(s.history, 24);
      const twin = s.history.send({ ...input, body: "another", ordered: false }) as Mutable<Operation<"send">>;
      if (outcome.type === "ok") twin.ok({ ...outcome.answer, inOrder: false });
    },
  ],
  [
    "a sender's messages change places",
    "S10",
    ({ history }) => {
      const [one, other] = [sendOf(history, 2), sendOf(history, 5)];
      const { operations } = history;
      // Both were under way at once, and sent in the other order.
      other.invokedAt = one.invokedAt - 0.5;
      operations.splice(operations.indexOf(other as never), 1);
      operations.splice(operations.indexOf(one as never), 0, other as never);
    },
  ],
  [
    "a message is stored below what was seen before it was sent",
    "S11",
    ({ history }) => {
      const send = sendOf(history, 13);
      send.invokedAt = sendOf(history, 14).outcome.type === "ok" ? deliveredAt(history, 14) + 0.5 : 0;
      (send.input as Mutable<typeof send.input>).ordered = false;
    },
  ],
  [
    "a page goes back behind what its reader knew",
    "S12",
    ({ page }) => {
      if (page.outcome.type === "ok") (page.outcome.answer.entries as Entry[]).pop();
    },
  ],
  [
    "a page leaves an entry out",
    "S12",
    ({ page }) => {
      if (page.outcome.type === "ok") (page.outcome.answer.entries as Entry[]).splice(1, 1);
    },
  ],
  [
    "an entry is delivered from before its reader joined",
    "S13",
    ({ d, b }) => insert(d.connection, d.connection.events[0] as ConnectionEvent, deliveryOf(b.connection, 17)),
  ],
  [
    "an entry is delivered from after its reader left",
    "S13",
    ({ d, b }) => void d.connection.events.push({ ...deliveryOf(b.connection, 23) }),
  ],
  [
    "a membership begins at a number that is no such event",
    "S13",
    ({ log }) => Object.assign(log, { members: [...log.members, { account: "idghost", joined: 24, left: null }] }),
  ],
  [
    "an acknowledgement of what was never sent is accepted",
    "S14",
    ({ a, id }) => {
      const at = a.connection.note({ type: "acknowledged", conversation: id, seq: 99 });
      a.connection.note({ type: "settled", since: at + 0.000_01 });
    },
  ],
  [
    "an acknowledgement of what was sent is refused",
    "S14",
    ({ a, id }) =>
      void a.connection.note({ type: "acknowledgement_refused", conversation: id, seq: 25, code: "ack_ahead" }),
  ],
  [
    "a read mark goes back",
    "S14",
    ({ a, b, id, ann }) => {
      for (const seq of [5, 9]) a.connection.note({ type: "read_marked", conversation: id, seq });
      for (const seq of [9, 5]) b.connection.note({ type: "read_told", conversation: id, account: ann.account, seq });
    },
  ],
  ["entries are removed and nobody says so", "S15", (s) => removed(s, false)],
  [
    "entries are removed before their time",
    "S15",
    (s) => removed({ ...s, log: Object.assign(s.log, { retentionMs: 1e12 }) }, true),
  ],
  [
    "a removal is announced that did not happen",
    "S15",
    ({ again, id }) =>
      insert(again.connection, again.connection.events[0] as ConnectionEvent, {
        type: "truncated",
        conversation: id,
        before: 11,
      }),
  ],
  [
    "a summary names who had left",
    "S16",
    ({ summary, dora }) => {
      const [one] = summary.outcome.type === "ok" ? summary.outcome.answer : [];
      if (one !== undefined) Object.assign(one, { participants: [...one.participants, dora.account] });
    },
  ],
  [
    "a summary counts what is not there",
    "S16",
    ({ summary }) => {
      const [one] = summary.outcome.type === "ok" ? summary.outcome.answer : [];
      if (one !== undefined) (one as Mutable<typeof one>).messages += 1;
    },
  ],
  ["a socket outlives its session", "S20", ({ g }) => Object.assign(g.connection, { closed: null })],
  [
    "a request is answered in the name of a session that has ended",
    "S20",
    ({ history, g, id }) => {
      const { account, session } = g.person;
      const read = history.begin("page", {
        account,
        session,
        node: "2",
        conversation: id,
        direction: "after",
        seq: 25,
      });
      const at = g.connection.openedAt + 30_000;
      const outcome = { type: "ok", at, answer: { entries: [], next: null, previous: null, statuses: new Map() } };
      Object.assign(read, { invokedAt: at - 1, outcome });
    },
  ],
  ["after healing a socket is not caught up", "HEAL", ({ b }) => remove(b.connection, 24, 25)],
  [
    "after a node was frozen and thawed a socket is not caught up",
    "S23",
    ({ history, b }) => {
      const frozen = history.fault("node-frozen", { type: "node", node: "2" });
      Object.assign(frozen, { from: sendOf(history, 24).invokedAt, to: deliveredAt(history, 25) + 1 });
      remove(b.connection, 24, 25);
    },
  ],
  [
    "a request is not answered while nothing is broken",
    "HEAL",
    ({ history }) => {
      const send = sendOf(history, 25);
      send.outcome = { type: "unknown", at: send.invokedAt + 10_000, why: "timeout" };
    },
  ],
];

function deliveredAt(history: History, seq: number): number {
  const moments = history.connections.flatMap(({ events }) =>
    events.flatMap((event) => (event.type === "delivered" && event.entry.seq === seq ? [event.at] : [])),
  );
  return Math.min(...moments);
}

/** Retention took what a device had not seen; with or without a word. */
function removed({ log, again, id }: Scene, said: boolean): void {
  log.purged = 12;
  if (log.retentionMs === null) Object.assign(log, { retentionMs: 1 });
  log.entries.splice(0, 12);
  remove(again.connection, 11, 12);
  if (said) {
    const first = again.connection.events[0] as ConnectionEvent;
    insert(again.connection, first, { type: "truncated", conversation: id, before: 13 });
  }
}
