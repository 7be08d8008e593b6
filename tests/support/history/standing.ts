/**
 * Where the server may believe that a device stands in a log: what it acknowledged, where it said
 * that it stands, what its account had acknowledged when it first came, and what ended or was
 * removed before. A stream begins at most one beyond that, and a stored cursor is at most there.
 */
import type { ConversationId, DeviceId } from "../../../src/protocol/mod.ts";
import { due, type Facts, hits } from "./facts.ts";
import type { Connection, Fault } from "./history.ts";

/** One acknowledgement of a device. */
interface Acknowledgement {
  readonly at: number;
  readonly seq: number;
  /** From when on it is certain to be in the database. */
  readonly kept: number;
}

/** Whose standing is asked for. */
type Owner = Pick<Connection["input"], "device" | "account">;

/** See the head of this file. */
export class Standings {
  readonly #facts: Facts;
  /** Acknowledgements and claims, by device and conversation, in the order of time. */
  readonly #acknowledged = new Map<string, Acknowledgement[]>();
  readonly #claimed = new Map<string, { readonly at: number; readonly seq: number }[]>();
  /** What the account had acknowledged by any device, in the order of time. */
  readonly #ofAccount = new Map<string, { readonly at: number; readonly seq: number }[]>();
  /** When a device's first start was over, and with it what it starts from. */
  readonly #pinned = new Map<DeviceId, number>();

  constructor(facts: Facts) {
    this.#facts = facts;
    for (const connections of facts.devices.values()) for (const connection of connections) this.#add(connection);
    // Sockets of one device may be open at the same time.
    for (const lists of [this.#acknowledged, this.#claimed, this.#ofAccount]) {
      for (const all of lists.values()) all.sort((a, b) => a.at - b.at);
    }
  }

  /** The highest seq that the device can stand at by a moment; entries up to here need not come. */
  highest({ device, account }: Owner, conversation: ConversationId, moment: number): number {
    const key = `${device} ${conversation}`;
    const pinned = Math.min(moment, this.#pinned.get(device) ?? moment);
    return Math.max(
      highestBy(this.#acknowledged.get(key), moment),
      highestBy(this.#claimed.get(key), moment),
      highestBy(this.#ofAccount.get(`${account} ${conversation}`), pinned),
    );
  }

  /** The highest seq whose acknowledgement was certain to be kept at a moment: below it nothing comes again. */
  kept(device: DeviceId, conversation: ConversationId, moment: number): number {
    let highest = 0;
    for (const { seq, kept } of this.#acknowledged.get(`${device} ${conversation}`) ?? []) {
      if (kept <= moment && seq > highest) highest = seq;
    }
    return highest;
  }

  #add(connection: Connection): void {
    const { device, account, node } = connection.input;
    const faults = this.#facts.history.faults.filter((fault) => hits(fault, node, account));
    let started: number | undefined;
    for (const event of connection.events) {
      if (this.#facts.refused.has(event)) continue;
      if (event.type === "caught_up") started ??= event.at;
      else if (event.type === "acknowledged") {
        const { conversation, seq, at } = event;
        push(this.#acknowledged, `${device} ${conversation}`, { at, seq, kept: this.#keptAt(connection, at, faults) });
        push(this.#ofAccount, `${account} ${conversation}`, { at, seq });
      } else if (event.type === "resumed") {
        // What a device says that it has, it and its account have acknowledged.
        for (const [conversation, seq] of event.cursors) {
          push(this.#claimed, `${device} ${conversation}`, { at: event.at, seq });
          push(this.#ofAccount, `${account} ${conversation}`, { at: event.at, seq });
        }
      }
    }
    if (!this.#pinned.has(device) && (started !== undefined || connection.closed !== null))
      this.#pinned.set(device, started ?? connection.closed?.at ?? 0);
  }

  #keptAt({ closed }: Connection, at: number, faults: readonly Fault[]): number {
    const flushed = due(faults, at, this.#facts.times.flushMs).at;
    if (closed === null || closed.by === "cut") return flushed;
    return Math.min(flushed, due(faults, closed.at, this.#facts.times.closingMs).at);
  }
}

function highestBy(all: readonly { readonly at: number; readonly seq: number }[] | undefined, moment: number): number {
  let highest = 0;
  for (const { at, seq } of all ?? []) {
    if (at > moment) break;
    if (seq > highest) highest = seq;
  }
  return highest;
}

function push<Value>(into: Map<string, Value[]>, key: string, value: Value): void {
  const all = into.get(key);
  if (all === undefined) into.set(key, [value]);
  else all.push(value);
}
