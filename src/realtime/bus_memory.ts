/** The bus within one process: what a single node uses, and what tests join several nodes with. */
import type { Address } from "../conversations/mod.ts";
import type { AccountId, DeviceStatus } from "../protocol/mod.ts";
import type { Bus, Hint, NodeHandlers, NodeId } from "./bus.ts";

/** See {@link Bus}. */
export class MemoryBus implements Bus {
  readonly status = "in_process";
  /** Within a process nothing gets lost. */
  readonly healthy = true;
  readonly #nodes = new Map<NodeId, NodeHandlers>();
  /** By node and not by account, for there are few nodes and many accounts. */
  readonly #connected = new Map<NodeId, Map<Address, DeviceStatus>>();

  /** What a node that joins later was not told, its accounts read from the log. */
  get alone(): boolean {
    return this.#nodes.size < 2;
  }

  async join(node: NodeId, handlers: NodeHandlers): Promise<void> {
    if (this.#nodes.has(node)) throw new Error("Join under another name: a node of this one has joined");
    this.#nodes.set(node, handlers);
  }

  async register(node: NodeId, account: Address): Promise<void> {
    const accounts = this.#connected.get(node);
    if (accounts === undefined) this.#connected.set(node, new Map([[account, "online"]]));
    else if (!accounts.has(account)) accounts.set(account, "online");
  }

  async unregister(node: NodeId, account: Address): Promise<void> {
    this.#connected.get(node)?.delete(account);
  }

  async locate(node: NodeId, accounts: readonly Address[]): Promise<ReadonlyMap<NodeId, readonly Address[]>> {
    const found = new Map<NodeId, readonly Address[]>();
    for (const [other, connected] of this.#connected) {
      if (other === node) continue;
      const there = accounts.filter((account) => connected.has(account));
      if (there.length > 0) found.set(other, there);
    }
    return found;
  }

  setAway(node: NodeId, account: AccountId, away: boolean): void {
    const accounts = this.#connected.get(node);
    if (accounts?.has(account) === true) accounts.set(account, away ? "away" : "online");
  }

  async connected(accounts: readonly AccountId[]): Promise<ReadonlyMap<AccountId, DeviceStatus>> {
    const found = new Map<AccountId, DeviceStatus>();
    for (const there of this.#connected.values()) {
      for (const account of accounts) {
        const status = there.get(account);
        if (status !== undefined && found.get(account) !== "online") found.set(account, status);
      }
    }
    return found;
  }

  publish(to: NodeId, hints: readonly Hint[]): void {
    this.#nodes.get(to)?.receive(hints);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#nodes.clear();
    this.#connected.clear();
  }
}
