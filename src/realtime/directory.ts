/**
 * The directory in Redis: which accounts are connected to which nodes, as far as Redis remembers.
 *
 * A node holds a lease that it renews every second; its entries name the lease and are good as
 * long as it lasts. Where a renewal finds the lease gone (the node was frozen, Redis was emptied
 * or restarted), nothing that was written under it is believed any more: the node takes a new
 * lease and writes all its entries again. Until that is done the directory is not `whole`.
 *
 * - Redis may forget an account's entry after an hour, so every entry is written again in time.
 * - An entry is removed only by its own value: a removal that is late never hits a newer entry.
 */

import type { Address } from "../conversations/mod.ts";
import { Batcher } from "../platform/batcher.ts";
import { type Redis, RedisFault } from "../platform/redis.ts";
import type { AccountId, DeviceStatus } from "../protocol/mod.ts";
import type { NodeId } from "./bus.ts";
import { CONNECTED, LOCATE, REGISTER, RELEASE, RENEW, UNREGISTER } from "./directory_scripts.ts";

/** What a {@link Directory} is made of. */
export interface DirectoryOptions {
  readonly redis: Redis;
  /** What every key begins with. */
  readonly prefix: string;
  readonly node: NodeId;
  /** Makes a token that nobody made before. */
  readonly newToken: () => string;
}

/** Milliseconds that a lease lasts without being renewed. */
export const LEASE_MS = 5_000;
const ENTRY_MS = 60 * 60_000;
/** Renewals in which every entry is written again once: 20 minutes. */
const RENEWALS_A_ROUND = 1_200;
/** Accounts in one script: some 200 µs of Redis. */
const MOST_KEYS = 500;
const MOST_WAITING = 200_000;
/** One for each lane of the log, and some: what a batch stored need not wait for the look-up of the one before. */
const LOOKUPS_IN_FLIGHT = 4;

/** See the head of this file. */
export class Directory {
  readonly #options: DirectoryOptions;
  readonly #registrations: Batcher<Address, true>;
  readonly #removals: Batcher<{ readonly account: Address; readonly value: string }, true>;
  readonly #lookups: Batcher<readonly Address[], ReadonlyMap<NodeId, readonly Address[]>>;
  readonly #statuses: Batcher<AccountId, DeviceStatus | null>;
  /** Accounts that are connected here, and the value of their entry. */
  readonly #entries = new Map<Address, string>();
  /** Those of them whose devices here are all away. */
  readonly #away = new Set<Address>();
  /** Those whose entry may not be there. */
  readonly #unwritten = new Set<Address>();
  #lease: string;
  #held = false;
  #numbered = 0;
  /** Where writing again goes on. */
  #round: Iterator<Address> | undefined;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#lease = options.newToken();
    const limits = { most: MOST_KEYS, waiting: MOST_WAITING };
    this.#registrations = new Batcher(async (accounts) => {
      await this.#write(accounts);
      return accounts.map(() => true);
    }, limits);
    this.#removals = new Batcher(async (entries) => {
      const keys = entries.map(({ account }) => this.#key(account));
      await options.redis.script(UNREGISTER, keys, [options.node, ...entries.map(({ value }) => value)]);
      return entries.map(() => true);
    }, limits);
    this.#statuses = new Batcher((accounts) => this.#statusOf(accounts), { ...limits, inFlight: LOOKUPS_IN_FLIGHT });
    this.#lookups = new Batcher((requests) => this.#locateAll(requests), { ...limits, inFlight: LOOKUPS_IN_FLIGHT });
  }

  /** Whether the lease is held and every entry is there, as far as is known. */
  get whole(): boolean {
    return this.#held && this.#unwritten.size === 0;
  }

  /**
   * Renews the lease and writes what is not written. True where the directory was not whole and is
   * now: whoever looked an account up meanwhile may have missed it.
   */
  async renew(): Promise<boolean> {
    const whole = this.whole;
    const { redis, node, newToken } = this.#options;
    try {
      const fresh = newToken();
      const held = await redis.script(RENEW, [this.#leaseKey(node)], [this.#lease, fresh, String(LEASE_MS)]);
      if (held !== 1) {
        this.#lease = fresh;
        for (const account of this.#entries.keys()) this.#unwritten.add(account);
      }
      const lost = held !== 1;
      this.#held = true;
      await this.#writeAll(this.#unwritten);
      await this.#writeAll(this.#nextOfRound());
      return lost || !whole;
    } catch (error) {
      this.#held = false;
      throw error;
    }
  }

  /** Says that an account is connected here; resolves once others can see it. */
  async register(account: Address): Promise<void> {
    this.#number(account);
    try {
      await this.#registrations.ask(account);
    } catch (error) {
      if (this.#entries.has(account)) this.#unwritten.add(account);
      throw error;
    }
  }

  /** Takes that back. */
  async unregister(account: Address): Promise<void> {
    const value = this.#entries.get(account);
    if (value === undefined) return;
    this.#entries.delete(account);
    this.#unwritten.delete(account);
    this.#away.delete(account);
    await this.#removals.ask({ account, value });
  }

  /** Says that all devices which an account has here are away, or no longer. */
  async setAway(account: AccountId, away: boolean): Promise<void> {
    if (!this.#entries.has(account) || this.#away.has(account) === away) return;
    if (away) this.#away.add(account);
    else this.#away.delete(account);
    await this.register(account);
  }

  /** How accounts are connected, at any node; who is not is missing. Asks Redis every time. */
  async connected(accounts: readonly AccountId[]): Promise<ReadonlyMap<AccountId, DeviceStatus>> {
    const found = new Map<AccountId, DeviceStatus>();
    await Promise.all(
      accounts.map(async (account) => {
        const status = await this.#statuses.ask(account);
        if (status !== null) found.set(account, status);
      }),
    );
    return found;
  }

  /** The nodes, other than this one, of each of these accounts; asks Redis every time. */
  locate(accounts: readonly Address[]): Promise<ReadonlyMap<NodeId, readonly Address[]>> {
    return this.#lookups.ask(accounts);
  }

  /** Gives the lease back, and with it every entry. */
  async release(): Promise<void> {
    const { redis, node } = this.#options;
    this.#held = false;
    await redis.script(RELEASE, [this.#leaseKey(node)], [this.#lease]);
  }

  #key(account: Address): string {
    return `${this.#options.prefix}:at:${account}`;
  }

  #leaseKey(node: NodeId): string {
    return `${this.#options.prefix}:lease:${node}`;
  }

  /** Gives an account's entry a value of its own under the lease of this moment. */
  #number(account: Address): string {
    const value = `${this.#lease}.${++this.#numbered}${this.#away.has(account) ? "a" : ""}`;
    this.#entries.set(account, value);
    return value;
  }

  async #writeAll(accounts: Iterable<Address>): Promise<void> {
    const all = [...accounts];
    for (let i = 0; i < all.length; i += MOST_KEYS) await this.#write(all.slice(i, i + MOST_KEYS));
  }

  /** Writes the entries of those accounts that are still connected. */
  async #write(accounts: readonly Address[]): Promise<void> {
    const { redis, node } = this.#options;
    const connected = [...new Set(accounts)].filter((account) => this.#entries.has(account));
    if (connected.length === 0) return;
    // Renumbered here, for the lease may have changed since the account came.
    const values = connected.map((account) => this.#number(account));
    const keys = connected.map((account) => this.#key(account));
    await redis.script(REGISTER, keys, [node, String(ENTRY_MS), ...values]);
    connected.forEach((account, i) => {
      if (this.#entries.get(account) === values[i]) this.#unwritten.delete(account);
    });
  }

  /** Some accounts whose entries are written again before Redis forgets them. */
  #nextOfRound(): Address[] {
    const count = Math.ceil(this.#entries.size / RENEWALS_A_ROUND);
    const accounts: Address[] = [];
    while (accounts.length < count) {
      this.#round ??= this.#entries.keys();
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = undefined;
        break;
      }
      accounts.push(next.value);
    }
    return accounts;
  }

  /** One look-up for all requests of a moment. */
  async #locateAll(requests: readonly (readonly Address[])[]): Promise<ReadonlyMap<NodeId, readonly Address[]>[]> {
    const accounts = [...new Set(requests.flat())];
    const chunks: Address[][] = [];
    for (let i = 0; i < accounts.length; i += MOST_KEYS) chunks.push(accounts.slice(i, i + MOST_KEYS));
    const found = new Map<Address, readonly NodeId[]>();
    await Promise.all(chunks.map((chunk) => this.#locateSome(chunk, found)));
    return requests.map((request) => byNode(request, found));
  }

  async #statusOf(accounts: readonly AccountId[]): Promise<(DeviceStatus | null)[]> {
    const { redis } = this.#options;
    const keys = accounts.map((account) => this.#key(account));
    const answer = await redis.script(CONNECTED, keys, [this.#leaseKey("")]);
    if (!Array.isArray(answer) || answer.length !== accounts.length) throw new RedisFault("A look-up gave no list");
    return answer.map((state) => (state === 1 ? "online" : state === 2 ? "away" : null));
  }

  async #locateSome(accounts: readonly Address[], found: Map<Address, readonly NodeId[]>): Promise<void> {
    const { redis, node } = this.#options;
    const keys = accounts.map((account) => this.#key(account));
    const answer = await redis.script(LOCATE, keys, [this.#leaseKey(""), node]);
    if (!Array.isArray(answer) || answer.length !== accounts.length) throw new RedisFault("A look-up gave no list");
    accounts.forEach((account, i) => {
      found.set(account, answer[i] as NodeId[]);
    });
  }
}

function byNode(
  accounts: readonly Address[],
  found: ReadonlyMap<Address, readonly NodeId[]>,
): ReadonlyMap<NodeId, readonly Address[]> {
  const nodes = new Map<NodeId, Address[]>();
  for (const account of accounts) {
    for (const node of found.get(account) ?? []) {
      const there = nodes.get(node);
      if (there === undefined) nodes.set(node, [account]);
      else there.push(account);
    }
  }
  return nodes;
}
