/** A history that is right and has everything in it, and how to reach into it to spoil it. */
import type { Entry } from "../../support/history/entry.ts";
import type { Connection, ConnectionEvent, History, Operation, StoredLog } from "../../support/history/history.ts";
import { Model, type Sent, type Socket } from "./model.ts";

/** What a test may spoil. */
export type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };
/** The event that an entry came by. */
export type Delivered = Extract<ConnectionEvent, { type: "delivered" }>;

/** A short life of one group on two nodes, with everything in it that there is. */
export function scene() {
  const model = new Model();
  const [ann, ben, cem, dora] = [model.person(), model.person(), model.person(), model.person()] as const;
  const tablet = model.person(ben.account);
  const id = model.open(ann, [ben, cem]);
  const a = model.connect(ann, "1");
  const b = model.connect(ben, "2");
  const c = model.connect(cem, "2");
  const sent: Sent[] = [];
  const say = (from: Socket) => sent.push(model.send(from, id));
  for (let i = 0; i < 3; i++) for (const from of [a, b, c]) say(from);
  model.acknowledge(c, id);
  model.close(c, true); // at 10
  for (let i = 0; i < 3; i++) for (const from of [a, b]) say(from);
  const fault = model.history.fault("redis-flushed", { type: "all" });
  const lost = model.attempt(a, model.send(a, id, "answer lost"));
  model.history.healed(fault);
  lost.ok({ seq: 17, createdAt: (storedAt(model, 17) as Entry).createdAt, inOrder: false });
  model.change("add", ann, id, dora); // at 18
  const d = model.connect(dora, "1");
  say(a);
  say(d);
  const page = model.page(dora, "2", id, 0);
  const again = model.connect(cem, "1");
  say(a);
  model.acknowledge(again, id);
  const t = model.connect(tablet, "1");
  model.change("remove", ann, id, dora); // at 22
  say(b);
  const summary = model.snapshot(ben, "1", id);
  for (const socket of [a, b, again, t]) model.acknowledge(socket, id);
  const gone = model.person(ann.account);
  const g = model.connect(gone, "2");
  model.signOut(gone, "1");
  model.pass(6_000); // the fault is long over
  say(a);
  say(b); // at 25
  const history = model.finish();
  const log = history.final?.logs[0] as Mutable<StoredLog> & { entries: Entry[] };
  return { model, history, log, id, sent, a, b, c, d, again, t, g, ann, ben, cem, dora, page, summary, lost };
}

/** Of an unfinished model: what a receipt would have said. */
function storedAt({ history }: Model, seq: number): Entry | undefined {
  for (const { events } of history.connections) {
    for (const event of events) if (event.type === "delivered" && event.entry.seq === seq) return event.entry;
  }
  return undefined;
}

/** See {@link scene}. */
export type Scene = ReturnType<typeof scene>;

/** The delivery of a seq on a connection. */
export function deliveryOf(connection: Connection, seq: number): Mutable<Delivered> {
  const found = connection.events.find((event) => event.type === "delivered" && event.entry.seq === seq);
  if (found?.type !== "delivered") throw new Error(`Deliver ${seq} first`);
  return found;
}

/** Changes what a connection was shown at a seq. */
export function change(connection: Connection, seq: number, changes: Partial<Entry>): void {
  const delivery = deliveryOf(connection, seq);
  delivery.entry = { ...delivery.entry, ...changes };
}

/** Takes deliveries out. */
export function remove(connection: Connection, ...seqs: number[]): void {
  for (const seq of seqs) connection.events.splice(connection.events.indexOf(deliveryOf(connection, seq)), 1);
}

/** Puts an event among those of a connection, at the moment of another. */
export function insert(connection: Connection, before: ConnectionEvent, event: object): void {
  connection.events.splice(connection.events.indexOf(before), 0, { at: before.at, ...event } as ConnectionEvent);
}

/** The send that was answered with a seq. */
export function sendOf(history: History, seq: number): Mutable<Operation<"send">> {
  const found = history.operations.find(
    (operation) => operation.kind === "send" && operation.outcome.type === "ok" && operation.outcome.answer.seq === seq,
  );
  if (found?.kind !== "send") throw new Error(`Send ${seq} first`);
  return found;
}
