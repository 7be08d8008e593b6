/** The bus within one process: what a single node uses, and what tests join several nodes with. */
import type { AccountId } from "../protocol/mod.ts";
import type { Bus, Hint, NodeHandlers, NodeId } from "./bus.ts";

/** See {@link Bus}. */
export class MemoryBus implements Bus {
  readonly status = "in_process";
  /** Within a process nothing gets lost. */
  readonly healthy = true;
  readonly #nodes = new Map<NodeId, NodeHandlers>();
  readonly #connected = new Map<AccountId, Set<NodeId>>();

  /** What a node that joins later was not told, its accounts read from the log. */
  get alone(): boolean {
    return this.#nodes.size < 2;
  }

  async join(node: NodeId, handlers: NodeHandlers): Promise<void> {
    if (this.#nodes.has(node)) throw new Error("Join under another name: a node of this one has joined");
    this.#nodes.set(node, handlers);
  }

  async register(node: NodeId, account: AccountId): Promise<void> {
    const nodes = this.#connected.get(account);
    if (nodes === undefined) this.#connected.set(account, new Set([node]));
    else nodes.add(node);
  }

  async unregister(node: NodeId, account: AccountId): Promise<void> {
    const nodes = this.#connected.get(account);
    nodes?.delete(node);
    if (nodes?.size === 0) this.#connected.delete(account);
  }

  async locate(node: NodeId, accounts: readonly AccountId[]): Promise<ReadonlyMap<NodeId, readonly AccountId[]>> {
    const found = new Map<NodeId, AccountId[]>();
    for (const account of accounts) {
      for (const other of this.#connected.get(account) ?? []) {
        if (other === node) continue;
        const there = found.get(other);
        if (there === undefined) found.set(other, [account]);
        else there.push(account);
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
