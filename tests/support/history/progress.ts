/**
 * How far people are in a log by a moment: at most, by everything that their devices may have told the
 * server, and at least, by what it certainly had taken and written by then.
 *
 * - Acknowledged, or claimed by `resume`, counts as given; a mark counts as read.
 * - At least: what is certain to be in the database, or was taken by the very node that is asked.
 * - A mark that a node had and lost with it is not made again, so where a node was hit nothing is certain of it.
 */
import type { AccountId, ConversationId, MessageId } from "../../../src/protocol/mod.ts";
import { due, type Facts, faultsOfNodes, hits, meets } from "./facts.ts";
import type { Connection, ConnectionEvent, Fault, NodeName } from "./history.ts";
import { Timeline } from "./rules_order.ts";
import type { Span } from "./switches.ts";

/** One thing that a device told the server. */
interface Told {
  readonly seq: number;
  readonly at: number;
  readonly node: NodeName;
  /** When its node had certainly taken it; Infinity where nobody knows. */
  readonly taken: number;
  /** From when on it is certain to be in the database. */
  readonly kept: number;
}

/** Who is asked, when, and whether everything had come to rest. */
export interface Asking extends Span {
  readonly node: NodeName;
  readonly atRest: boolean;
}

/** What an account told of one log, in the order of time. */
class Course {
  readonly told: Told[] = [];
  #most: Timeline | undefined;
  #kept: Timeline | undefined;

  most(moment: number): number {
    this.#most ??= new Timeline(this.told.map(({ seq, at }) => [seq, at]));
    return this.#most.highestBefore(moment);
  }

  kept(moment: number): number {
    this.#kept ??= new Timeline(this.told.map(({ seq, kept }) => [seq, kept]));
    return this.#kept.highestBefore(moment);
  }
}

/** See the head of this file. */
export class Progress {
  readonly #facts: Facts;
  readonly #faults: readonly Fault[];
  readonly #given = new Map<string, Course>();
  readonly #read = new Map<string, Course>();
  readonly #confirmed = new Map<string, { from: number; done: number }>();

  constructor(facts: Facts) {
    this.#facts = facts;
    this.#faults = faultsOfNodes(facts.history);
    for (const connection of facts.history.connections) this.#add(connection);
    for (const { kind, input, invokedAt, outcome } of facts.history.operations) {
      if (kind !== "confirm" || (outcome.type === "refused" && outcome.code !== "unavailable")) continue;
      const key = `${input.account} ${input.message}`;
      const before = this.#confirmed.get(key) ?? { from: Infinity, done: Infinity };
      const done = outcome.type === "ok" ? outcome.at : Infinity;
      this.#confirmed.set(key, { from: Math.min(before.from, invokedAt), done: Math.min(before.done, done) });
    }
  }

  /** The highest seq that an account may have been given by a moment. */
  givenAtMost(account: AccountId, conversation: ConversationId, moment: number): number {
    return this.#given.get(`${account} ${conversation}`)?.most(moment) ?? 0;
  }

  /** The highest seq that an account may have read by a moment. */
  readAtMost(account: AccountId, conversation: ConversationId, moment: number): number {
    return this.#read.get(`${account} ${conversation}`)?.most(moment) ?? 0;
  }

  /** The highest seq that an account was certainly given, as a node must know. */
  givenAtLeast(account: AccountId, conversation: ConversationId, asking: Asking): number {
    const course = this.#given.get(`${account} ${conversation}`);
    if (course === undefined) return 0;
    // What a crash lost the device acknowledged again, for it came again.
    return asking.atRest ? course.most(Infinity) : this.#atLeast(course, asking);
  }

  /** The highest seq that an account has certainly read, as a node must know. */
  readAtLeast(account: AccountId, conversation: ConversationId, asking: Asking): number {
    const course = this.#read.get(`${account} ${conversation}`);
    return course === undefined ? 0 : this.#atLeast(course, asking);
  }

  /** Whether an account may have confirmed a message by a moment. */
  confirmedAtMost(account: AccountId, id: MessageId, moment: number): boolean {
    return (this.#confirmed.get(`${account} ${id}`)?.from ?? Infinity) < moment;
  }

  /** Whether an account has certainly confirmed a message by a moment. */
  confirmedAtLeast(account: AccountId, id: MessageId, moment: number): boolean {
    return (this.#confirmed.get(`${account} ${id}`)?.done ?? Infinity) < moment;
  }

  #atLeast(course: Course, { node, from, to, atRest }: Asking): number {
    if (atRest) return course.kept(Infinity);
    let highest = course.kept(from);
    const faults = this.#faults.filter((fault) => hits(fault, node, "" as AccountId));
    for (const told of course.told) {
      if (told.taken >= from || told.node !== node || told.seq <= highest) continue;
      if (!meets(faults, told.at, to)) highest = told.seq;
    }
    return highest;
  }

  #add(connection: Connection): void {
    const { account, node } = connection.input;
    const takenAfter = takenOn(connection.events);
    const refused = refusedMarks(connection.events);
    const shown = new Map<ConversationId, number>();
    for (const event of connection.events) {
      if (this.#facts.refused.has(event) || refused.has(event)) continue;
      if (event.type === "delivered") shown.set(event.entry.conversation, event.entry.seq);
      else if (event.type === "resync") shown.clear();
      else if (event.type === "resumed") {
        shown.clear(); // the server begins anew
        for (const [conversation, seq] of event.cursors) {
          const claim = { seq, at: event.at, node, taken: Infinity, kept: Infinity };
          courseOf(this.#given, account, conversation).told.push(claim);
        }
      } else if (event.type === "acknowledged") {
        const { conversation, seq, at } = event;
        const taken = takenAfter(at);
        const told = { seq, at, node, taken, kept: this.#keptAt(connection, at, taken) };
        courseOf(this.#given, account, conversation).told.push(told);
      } else if (event.type === "read_marked") {
        const { conversation, seq, at } = event;
        // Beyond what was sent here the server looks into the log first, and says when that does not work.
        const atOnce = seq <= (shown.get(conversation) ?? 0);
        const taken = takenAfter(atOnce ? at : at + this.#facts.times.answeredMs);
        const kept = taken === Infinity ? Infinity : this.#keptForGood(connection, at, taken);
        courseOf(this.#read, account, conversation).told.push({ seq, at, node, taken, kept });
      }
    }
  }

  #keptAt({ closed, input }: Connection, at: number, taken: number): number {
    const { times } = this.#facts;
    const faults = this.#faults.filter((fault) => hits(fault, input.node, input.account));
    const flushed = due(faults, at, times.flushMs).at;
    // Where the end of the socket overtook it, it is told again, on the next.
    if (closed === null || closed.by === "cut" || taken === Infinity) return flushed;
    return Math.min(flushed, due(faults, closed.at, times.closingMs).at);
  }

  #keptForGood(connection: Connection, at: number, taken: number): number {
    const kept = this.#keptAt(connection, at, taken);
    const { node } = connection.input;
    const ofNode = this.#faults.filter(({ hit }) => hit.type === "node" && hit.node === node);
    return meets(ofNode, at, kept) ? Infinity : kept;
  }
}

/** When the first round trip was over that began after a moment, on a connection. */
function takenOn(events: readonly ConnectionEvent[]): (moment: number) => number {
  const trips = events.filter((event) => event.type === "settled");
  return (moment) => trips.find(({ since }) => since > moment)?.at ?? Infinity;
}

function refusedMarks(events: readonly ConnectionEvent[]): ReadonlySet<ConnectionEvent> {
  const refused = new Set<ConnectionEvent>();
  const waiting = new Map<string, ConnectionEvent>();
  for (const event of events) {
    if (event.type === "read_marked") waiting.set(`${event.conversation} ${event.seq}`, event);
    else if (event.type === "read_refused") {
      const meant = waiting.get(`${event.conversation} ${event.seq}`);
      if (meant !== undefined) refused.add(meant);
    }
  }
  return refused;
}

function courseOf(courses: Map<string, Course>, account: AccountId, conversation: ConversationId): Course {
  const key = `${account} ${conversation}`;
  let course = courses.get(key);
  if (course === undefined) {
    course = new Course();
    courses.set(key, course);
  }
  return course;
}
