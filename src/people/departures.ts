/**
 * What goes on after somebody closed their account: they are taken out of every conversation, and then
 * everything that is left of them is removed.
 *
 * - Every node looks, at once where the account was closed and every few seconds; one at a time works,
 *   by an advisory lock that ends with its connection.
 * - Each step may be repeated, so what a killed node began another one finishes.
 */
import { type AccountDeps, closedAccounts, removeAccount } from "../accounts/mod.ts";
import { type ConversationsDeps, type Delivery, forgetEverywhere } from "../conversations/mod.ts";
import type { AccountId, SessionId } from "../protocol/mod.ts";
import { becomeRemover } from "./departures_store.ts";

/** What {@link startDepartures} is told. */
export interface DeparturesOptions {
  readonly accounts: AccountDeps;
  readonly conversations: ConversationsDeps;
  readonly deliver: (delivery: Delivery) => void;
  readonly endSessions: (accountId: AccountId, sessionIds: readonly SessionId[]) => void;
  readonly onFault: (error: unknown) => void;
  /** Milliseconds between two looks; standard 5,000. */
  readonly everyMs?: number;
  /** Milliseconds for which the rows of ended sessions stay, so that every node closes their sockets; standard 10,000. */
  readonly settleMs?: number;
}

/** See the head of this file. Disposing ends the work under way between two steps. */
export interface Departures extends AsyncDisposable {
  /** Looks now, or once more after the look under way. */
  look(): void;
}

const EVERY_MS = 5_000;
const SETTLE_MS = 10_000;
const ACCOUNTS_AT_ONCE = 20;

/** Starts looking. */
export function startDepartures(options: DeparturesOptions): Departures {
  const ending = new AbortController();
  let last: Promise<void> = Promise.resolve();
  let waiting = false;
  const look = () => {
    if (waiting) return;
    waiting = true;
    last = last.then(() => {
      waiting = false;
      return turn(options, ending.signal).catch(options.onFault);
    });
  };
  const timer = setInterval(look, options.everyMs ?? EVERY_MS);
  return {
    look,
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      clearInterval(timer);
      await last;
    },
  };
}

async function turn(options: DeparturesOptions, signal: AbortSignal): Promise<void> {
  const { accounts, conversations } = options;
  if (signal.aborted || (await closedAccounts(accounts, 1)).length === 0) return;
  await using connection = await accounts.db.connect("departures");
  if (!(await becomeRemover(connection))) return;
  for (const accountId of await closedAccounts(accounts, ACCOUNTS_AT_ONCE)) {
    if (signal.aborted || connection.broken) return; // without the lock another node may be at it
    try {
      await forgetEverywhere(conversations, { accountId, deliver: options.deliver, signal });
      if (signal.aborted) return;
      const { ended } = await removeAccount(accounts, { accountId, settleMs: options.settleMs ?? SETTLE_MS });
      options.endSessions(accountId, ended);
    } catch (error) {
      options.onFault(error); // the next look tries again; the others need not wait for it
    }
  }
}
