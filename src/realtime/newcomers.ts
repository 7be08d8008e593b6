/** Sockets that have caught up and wait to be told of their account's contacts, those who are not offline. */
import { type ContactOf, type PersonSettings, STANDARD_SETTINGS, shownStatus } from "../people/mod.ts";
import type { AccountId, DeviceStatus, UserStatus } from "../protocol/mod.ts";
import type { PresenceSocket } from "./own_person.ts";
import type { Watched } from "./watched.ts";

/** What {@link Newcomers} is made of. */
export interface NewcomersOptions {
  readonly watched: Pick<Watched, "statusOf" | "remember">;
  /** The settings of some accounts; who is missing has the standard ones. */
  readonly settings: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, PersonSettings>>;
}

/** See the head of this file. */
export class Newcomers {
  readonly #options: NewcomersOptions;
  readonly #sockets = new Map<AccountId, PresenceSocket[]>();

  constructor(options: NewcomersOptions) {
    this.#options = options;
  }

  /** Accounts of which a socket waits. */
  get size(): number {
    return this.#sockets.size;
  }

  /** The accounts, those first that have waited longest. */
  accounts(): Iterable<AccountId> {
    return this.#sockets.keys();
  }

  /** Whether a socket of an account waits. */
  has(account: AccountId): boolean {
    return this.#sockets.has(account);
  }

  /** A socket waits from now on; again is the same. */
  add(account: AccountId, socket: PresenceSocket): void {
    const waiting = this.#sockets.get(account);
    if (waiting === undefined) this.#sockets.set(account, [socket]);
    else if (!waiting.includes(socket)) waiting.push(socket);
  }

  /** How the contacts of those who wait are seen, where that is not offline; `there`: who is connected. */
  async shownOf(
    lists: readonly ContactOf[],
    there: ReadonlyMap<AccountId, DeviceStatus>,
  ): Promise<ReadonlyMap<AccountId, UserStatus>> {
    const asked = new Set<AccountId>();
    for (const { account, contacts } of lists) {
      if (!this.has(account)) continue;
      // Redis may have lost who others here know to be there.
      for (const contact of contacts)
        if (there.has(contact) || this.#options.watched.statusOf(contact) !== undefined) asked.add(contact);
    }
    if (asked.size === 0) return new Map();
    const settings = await this.#options.settings([...asked]);
    const shown = new Map<AccountId, UserStatus>();
    for (const contact of asked) {
      const { chosenStatus, lastSeenTo } = settings.get(contact) ?? STANDARD_SETTINGS;
      const status = there.has(contact)
        ? shownStatus(chosenStatus, there.get(contact))
        : this.#options.watched.statusOf(contact);
      const hides = lastSeenTo === "nobody" || chosenStatus === "offline";
      if (!hides && status !== undefined && status !== "offline") shown.set(contact, status);
    }
    return shown;
  }

  /** Tells the sockets of an account that wait; one that is full goes on waiting. */
  show(account: AccountId, contacts: readonly AccountId[], shown: ReadonlyMap<AccountId, UserStatus>): void {
    const waiting = this.#sockets.get(account) ?? [];
    this.#sockets.delete(account);
    const { watched } = this.#options;
    for (const socket of waiting) {
      if (!socket.authenticated) continue;
      if (socket.blocked) {
        this.add(account, socket);
        continue;
      }
      for (const contact of contacts) {
        // Who hides now is not shown, whatever was told before: the hint that said so may have been lost.
        const fresh = shown.get(contact);
        if (fresh === undefined) continue;
        // What others here were told, so that all are told the same when it changes.
        const status = watched.statusOf(contact) ?? fresh;
        watched.remember(account, contact, status);
        socket.sendFrame({ type: "presence_update", user_id: contact, status, last_seen: null });
      }
    }
  }
}
