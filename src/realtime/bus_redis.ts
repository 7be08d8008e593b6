/**
 * The bus through Redis, for many nodes: each node listens to a channel of its own and to one for
 * the beats of all, and the directory says who is connected where.
 *
 *   commit ─▶ locate (directory) ─▶ publish: gathered by node in this turn ─▶ the node's channel
 *
 * Redis may lose everything at any time. What is lost is noticed, and becomes a doubt:
 *
 * | what happened                                       | how it is noticed                         |
 * |-----------------------------------------------------|-------------------------------------------|
 * | a message on its way                                | numbers in messages and beats do not meet |
 * | a message that was never sent, a look-up that failed | it was numbered all the same             |
 * | the listener was away, or deaf                       | it comes up again                        |
 * | directory emptied, lease expired, this node frozen   | the renewal finds the lease gone         |
 * | another node killed after a commit                   | it is silent                             |
 *
 * While one of these goes on the bus is not `healthy`. One instance is one node.
 */

import type { Address } from "../conversations/mod.ts";
import { type Listening, openRedis, type Redis } from "../platform/redis.ts";
import type { AccountId, DeviceStatus } from "../protocol/mod.ts";
import type { Bus, BusStatus, Hint, NodeHandlers, NodeId } from "./bus.ts";
import { type Beat, decodeBusMessage, encodeBusMessage, type HintsMessage, splitHints } from "./bus_messages.ts";
import { Directory } from "./directory.ts";
import { Peers } from "./peers.ts";
import type { Stage } from "./stage_times.ts";

/** What a {@link RedisBus} is made of. */
export interface RedisBusOptions {
  /** As `redis://:password@host:6379/0`; nodes that meet have the same one. */
  readonly url: string;
  /** Makes a token that nobody made before. */
  readonly newToken: () => string;
  readonly onFault: (error: unknown) => void;
  /** How long a look-up or a publication took. */
  readonly onStage?: (stage: Stage, milliseconds: number) => void;
  /** Milliseconds between two beats; standard 1,000. */
  readonly beatMs?: number;
}

/** What belongs to the one node of a bus. */
interface Member {
  readonly node: NodeId;
  readonly handlers: NodeHandlers;
  readonly directory: Directory;
  readonly listening: Listening;
}

const BEAT_MS = 1_000;
/** A node that fell silent is noticed a quarter of a beat later at most. */
const LOOKS_A_BEAT = 4;
/** How long a node that starts waits for Redis before it starts without. */
const JOIN_MS = 3_000;

/** See the head of this file. */
export class RedisBus implements Bus {
  readonly #options: RedisBusOptions;
  readonly #redis: Redis;
  /** Channels know nothing of databases, so the number is part of every name. */
  readonly #prefix: string;
  readonly #peers = new Peers();
  #member: Member | undefined;
  /** Beats; none before this node listens, for whoever hears the first one answers it, once. */
  #timer: ReturnType<typeof setInterval> | undefined;
  #outgoing = new Map<NodeId, Hint[]>();
  /** Whether the last beat was as it should be; what a fault is reported by, once. */
  #beating = false;
  #beatUnderWay = false;
  /** Beat once more when the one under way is over. */
  #beatAgain = false;
  #looks = 0;
  #leaving = false;

  constructor(options: RedisBusOptions) {
    this.#options = options;
    this.#prefix = `sotto:${databaseOf(options.url)}`;
    this.#redis = openRedis(options.url, { onFault: options.onFault, onUp: () => this.#connected() });
  }

  get status(): BusStatus {
    return this.#redis.up && this.#member?.listening.up === true ? "up" : "down";
  }

  get healthy(): boolean {
    return this.status === "up" && this.#beating && this.#member?.directory.whole === true && !this.#peers.silent;
  }

  async join(node: NodeId, handlers: NodeHandlers): Promise<void> {
    if (this.#member !== undefined) throw new Error("Make a bus for each node: this one has joined");
    const { newToken, beatMs = BEAT_MS } = this.#options;
    const listened = Promise.withResolvers<void>();
    const listening = this.#redis.listen(`${this.#prefix}:ping:${node}`, [this.#channel(node), this.#beats], {
      message: (channel, text) => this.#received(channel, text),
      up: () => {
        listened.resolve();
        this.#doubt();
      },
    });
    const directory = new Directory({ redis: this.#redis, prefix: this.#prefix, node, newToken });
    this.#member = { node, handlers, directory, listening };
    const late = setTimeout(listened.resolve, JOIN_MS);
    await listened.promise; // without Redis the node starts all the same, and is unhealthy
    clearTimeout(late);
    if (this.#leaving) return;
    this.#timer = setInterval(() => this.#look(), beatMs / LOOKS_A_BEAT);
    await this.#beat();
  }

  async register(_: NodeId, account: Address): Promise<void> {
    await this.#joined.directory.register(account);
  }

  async unregister(_: NodeId, account: Address): Promise<void> {
    if (this.#leaving) return; // the lease goes, and every entry with it
    try {
      await this.#joined.directory.unregister(account);
    } catch (error) {
      this.#failed(error); // others will tell this node what nobody here needs
    }
  }

  async locate(_: NodeId, accounts: readonly Address[]): Promise<ReadonlyMap<NodeId, readonly Address[]>> {
    const asked = performance.now();
    try {
      const found = await this.#joined.directory.locate(accounts);
      this.#options.onStage?.("look_up", performance.now() - asked);
      return found;
    } catch (error) {
      // Nobody knows for whom the hints were: the next beat makes everybody read the log.
      this.#peers.missed();
      this.#failed(error);
      return new Map();
    }
  }

  setAway(_: NodeId, account: AccountId, away: boolean): void {
    this.#joined.directory.setAway(account, away).catch((error) => this.#failed(error));
  }

  connected(accounts: readonly AccountId[]): Promise<ReadonlyMap<AccountId, DeviceStatus>> {
    return this.#joined.directory.connected(accounts);
  }

  publish(to: NodeId, hints: readonly Hint[]): void {
    if (hints.length === 0) return;
    const waiting = this.#outgoing.get(to);
    if (waiting === undefined) this.#outgoing.set(to, [...hints]);
    else for (const hint of hints) waiting.push(hint);
    // After all look-ups that came back together, and before this round of the event loop is over.
    if (this.#outgoing.size === 1 && waiting === undefined) process.nextTick(() => this.#flush());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving = true;
    clearInterval(this.#timer);
    const member = this.#member;
    if (member !== undefined) {
      this.#flush();
      const last: Beat = { from: member.node, sent: this.#peers.sent(), last: true };
      await Promise.allSettled([
        this.#redis.command(["PUBLISH", this.#beats, encodeBusMessage(last)]),
        member.directory.release(),
      ]);
      await member.listening[Symbol.asyncDispose]();
    }
    await this.#redis[Symbol.asyncDispose]();
  }

  get #joined(): Member {
    if (this.#member === undefined) throw new Error("Join the bus before using it");
    return this.#member;
  }

  get #beats(): string {
    return `${this.#prefix}:beats`;
  }

  #channel(node: NodeId): string {
    return `${this.#prefix}:node:${node}`;
  }

  /** It may be another Redis than before: nothing is believed until a beat has looked. */
  #connected(): void {
    this.#beating = false;
    if (this.#timer !== undefined) void this.#beat();
  }

  #doubt(): void {
    if (!this.#leaving) this.#member?.handlers.doubt();
  }

  /** Sends what this turn gave, as few messages a node as its size allows. */
  #flush(): void {
    const begun = performance.now();
    const outgoing = this.#outgoing;
    this.#outgoing = new Map();
    for (const [to, all] of outgoing) {
      for (const hints of splitHints(all)) {
        const message: HintsMessage = { from: this.#joined.node, number: this.#peers.next(to), hints };
        // If this fails the receiver misses the number, so nothing has to be tried again.
        this.#redis.command(["PUBLISH", this.#channel(to), encodeBusMessage(message)]).then(
          () => this.#options.onStage?.("publish", performance.now() - begun),
          (error) => this.#failed(error),
        );
      }
    }
  }

  #look(): void {
    if (this.#peers.check(performance.now())) this.#doubt();
    this.#looks = (this.#looks + 1) % LOOKS_A_BEAT;
    if (this.#looks === 0) void this.#beat();
  }

  /** Renews the lease and tells the others how many messages they should have had. */
  async #beat(): Promise<void> {
    if (this.#beatUnderWay) {
      this.#beatAgain = true;
      return;
    }
    this.#beatUnderWay = true;
    this.#beatAgain = false;
    const { node, directory } = this.#joined;
    try {
      const beat: Beat = { from: node, sent: this.#peers.sent() };
      const told = this.#redis.command(["PUBLISH", this.#beats, encodeBusMessage(beat)]);
      const [regained] = await Promise.all([directory.renew(), told]);
      const wasBeating = this.#beating;
      this.#beating = true;
      // Registered first, and read afterwards: so whoever did not find us committed before the read.
      if (regained || !wasBeating) this.#doubt();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#beatUnderWay = false;
    }
    if (this.#beatAgain) void this.#beat();
  }

  /**
   * Something did not reach Redis: from here on nobody can be sure to be told. Reported once, until
   * a beat succeeds again, and doubted at once, for the others may be no better off.
   */
  #failed(error: unknown): void {
    if (this.#leaving || !this.#beating) return;
    this.#beating = false;
    this.#options.onFault(error);
    this.#doubt();
  }

  #received(channel: string, text: string): void {
    const member = this.#member;
    const message = decodeBusMessage(text);
    if (member === undefined || message === null || message.from === member.node) return;
    const now = performance.now();
    if ("hints" in message) {
      if (channel !== this.#channel(member.node)) return;
      const lost = this.#peers.message(message.from, message.number, now);
      member.handlers.receive(message.hints);
      if (lost) this.#doubt();
      return;
    }
    const isNew = !this.#peers.knows(message.from);
    const lost = this.#peers.beat(message.from, message.sent[member.node] ?? 0, now);
    // Both know each other from the start: the silence of a node that nobody has heard is heard by nobody.
    if (isNew && message.last !== true) void this.#beat();
    if (message.last === true) this.#peers.ended(message.from);
    if (lost || message.last === true) this.#doubt();
  }
}

function databaseOf(url: string): number {
  const { pathname } = new URL(url);
  return Number(pathname.slice(1)) || 0;
}
