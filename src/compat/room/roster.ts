/**
 * Who is in the room, over all nodes, and so who has come and gone: once for a person, whatever the
 * number of sockets and nodes.
 *
 * Each node tells the others who is connected to it, at once when that changes and in full every few
 * seconds, so what gets lost is mended. Each node joins these lists and shows its own people what
 * changes in the sum. There is nothing in it to agree upon: nobody counts for others.
 *
 * - Who is gone from every node has left {@link GRACE_MS} later, and not at all who is back by then: a lost
 *   connection is no leaving, nor is a node that restarts.
 * - A node that is not heard for {@link SILENT_MS} is gone with its people.
 * - A node that comes new asks the others first, and waits for them before it shows anybody: who was
 *   there before it has not come now.
 */
import type { AccountId } from "../../protocol/mod.ts";

/** A node's name. */
type NodeId = string;

/** Somebody at a node: who, by which name, and since how many milliseconds. */
type Present = readonly [id: AccountId, username: string, age: number];

/** What nodes tell each other. `all`: those in `here` are all; `ask`: please tell all of yours. */
export interface RosterMessage {
  readonly roster: "v1";
  readonly from: NodeId;
  readonly ask?: boolean;
  readonly all?: boolean;
  readonly here: readonly Present[];
  readonly gone: readonly AccountId[];
}

/** What a {@link Roster} is made of. */
export interface RosterOptions {
  readonly node: NodeId;
  /** Tells the other nodes. */
  readonly send: (message: RosterMessage) => void;
  /** Shows the people of this node that somebody came or went, so many milliseconds ago. */
  readonly show: (change: "join" | "leave", username: string, age: number) => void;
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
}

/** Milliseconds after which who is gone has left. */
export const GRACE_MS = 5_000;
/** Milliseconds after which a node that is not heard is gone. */
export const SILENT_MS = 15_000;
const TELL_MS = 5_000;
/** Milliseconds that others are given to say who is there. */
const SETTLE_MS = 2_000;

interface Person {
  readonly username: string;
  /** When they came (ms). */
  readonly since: number;
}

interface Node {
  readonly people: Map<AccountId, Person>;
  heardAt: number;
}

/** See the head of this file. */
export class Roster {
  readonly #options: RosterOptions;
  /** At this node: who, and with how many sockets. */
  readonly #here = new Map<AccountId, Person & { sockets: number }>();
  readonly #nodes = new Map<NodeId, Node>();
  /** Whom the people of this node believe to be in the room. */
  readonly #shown = new Map<AccountId, string>();
  /** Those of them who are gone, and since when. */
  readonly #leaving = new Map<AccountId, number>();
  /** Nodes that have not said yet who is there; `null` once that is waited for no more. */
  #unheard: Set<NodeId> | null = new Set();
  #begun = false;
  #startedAt: number;
  #toldAt: number;

  constructor(options: RosterOptions) {
    this.#options = options;
    this.#startedAt = options.now();
    this.#toldAt = this.#startedAt;
  }

  /** Begins, with the nodes that know of the room already. */
  begin(others: readonly NodeId[]): void {
    this.#unheard = new Set(others);
    this.#begun = true;
    this.#startedAt = this.#options.now();
    if (others.length > 0) this.#send({ ask: true });
    this.#settleIfHeard();
  }

  /** A socket of somebody has come. */
  arrived(id: AccountId, username: string): void {
    const person = this.#here.get(id);
    if (person !== undefined) return void person.sockets++;
    this.#here.set(id, { username, since: this.#options.now(), sockets: 1 });
    this.#send({ here: [[id, username, 0]] });
    this.#look(id);
  }

  /** A socket of somebody has gone. */
  left(id: AccountId): void {
    const person = this.#here.get(id);
    if (person === undefined || --person.sockets > 0) return;
    this.#here.delete(id);
    this.#send({ gone: [id] });
    this.#look(id);
  }

  /** Another node says something. */
  receive(message: RosterMessage): void {
    const { from, here, gone } = message;
    if (from === this.#options.node) return;
    const now = this.#options.now();
    const node = this.#nodes.get(from) ?? { people: new Map(), heardAt: now };
    this.#nodes.set(from, node);
    node.heardAt = now;
    const touched = new Set<AccountId>(gone);
    if (message.all === true) {
      for (const id of node.people.keys()) touched.add(id);
      node.people.clear();
    }
    for (const id of gone) node.people.delete(id);
    for (const [id, username, age] of here) {
      node.people.set(id, { username, since: now - age });
      touched.add(id);
    }
    for (const id of touched) this.#look(id);
    if (message.ask === true) this.#tellAll();
    if (message.all === true) this.#unheard?.delete(from);
    this.#settleIfHeard();
  }

  /** Looks at the time; called every second. */
  check(): void {
    const now = this.#options.now();
    if (this.#unheard !== null && now - this.#startedAt >= SETTLE_MS) {
      this.#unheard.clear();
      this.#settleIfHeard();
    }
    for (const [name, { heardAt, people }] of this.#nodes) {
      if (now - heardAt < SILENT_MS) continue;
      this.#nodes.delete(name);
      for (const id of people.keys()) this.#look(id);
    }
    for (const [id, since] of this.#leaving) {
      if (now - since < GRACE_MS) continue;
      this.#leaving.delete(id);
      this.#show("leave", id, this.#shown.get(id) ?? "", now - since);
    }
    if (now - this.#toldAt >= TELL_MS) this.#tellAll();
  }

  /** Says to the others that nobody is here any more: the node ends. */
  end(): void {
    this.#here.clear();
    this.#tellAll();
  }

  /** Whoever was there before this node began to look has not come now. */
  #settleIfHeard(): void {
    if (!this.#begun || this.#unheard === null || this.#unheard.size > 0) return;
    this.#unheard = null;
    for (const { people } of this.#nodes.values()) {
      for (const [id, { username, since }] of people) if (since < this.#startedAt) this.#shown.set(id, username);
    }
    for (const { people } of this.#nodes.values()) for (const id of people.keys()) this.#look(id);
    for (const id of this.#here.keys()) this.#look(id);
  }

  #look(id: AccountId): void {
    if (this.#unheard !== null) return;
    const now = this.#options.now();
    const person = this.#find(id);
    if (person === undefined) {
      if (this.#shown.has(id) && !this.#leaving.has(id)) this.#leaving.set(id, now);
      return;
    }
    this.#leaving.delete(id);
    if (!this.#shown.has(id)) this.#show("join", id, person.username, now - person.since);
  }

  #find(id: AccountId): Person | undefined {
    const here = this.#here.get(id);
    if (here !== undefined) return here;
    for (const { people } of this.#nodes.values()) {
      const there = people.get(id);
      if (there !== undefined) return there;
    }
    return undefined;
  }

  #show(change: "join" | "leave", id: AccountId, username: string, age: number): void {
    if (change === "join") this.#shown.set(id, username);
    else this.#shown.delete(id);
    this.#options.show(change, username, Math.max(0, age));
  }

  #tellAll(): void {
    const now = this.#options.now();
    this.#toldAt = now;
    const here = [...this.#here].map(([id, { username, since }]): Present => [id, username, now - since]);
    this.#send({ all: true, here });
  }

  #send(message: Partial<RosterMessage>): void {
    this.#options.send({ roster: "v1", from: this.#options.node, here: [], gone: [], ...message });
  }
}

/** Reads what another node sent; `null` for a signal of another sort. */
export function readRosterMessage(text: string): RosterMessage | null {
  if (!text.startsWith('{"roster":"v1"')) return null; // as it is written above: signals of people never begin so
  return JSON.parse(text) as RosterMessage;
}
