/**
 * How the people of this node are seen: online, away, dnd or offline, told to their contacts when it changes;
 * and what a device that comes is told of its own contacts (`newcomers.ts`). Nothing of it is in Postgres; the directory
 * of the bus knows who is connected where, `watched.ts` what the people here were told of others, and `partings.ts`
 * takes back what people were told of somebody who is their contact no more.
 *
 *   a socket is fed ─▶ due ─▶ (one look a second) how are their devices, at all nodes ─▶ contacts ─▶ told
 *   the last socket goes ─▶ 30 s ─▶ still at no node? ─▶ contacts ─▶ told
 *
 * - Of somebody one change is told in 30 s, however often they come and go; what they choose themselves, in 5 s.
 * - A look takes a bounded number of people, and their contacts by one statement for each hundred: ten thousand
 *   who come back at once are told of within the better part of a minute, and the database hardly notices.
 * - Whoever comes back within the 30 s is told of once more: who looked in between missed them.
 * - Several nodes may know somebody. The one where something changed tells, also the others of them; a node that
 *   hears that somebody is offline who is here says so.
 * - A hint like all that the bus carries: what is lost is found by the next change, or by {@link Watched}.
 */
import { type ContactOf, type PersonSettings, STANDARD_SETTINGS, shownStatus } from "../people/mod.ts";
import { Batcher } from "../platform/batcher.ts";
import type { AccountId, DeviceStatus, UserStatus } from "../protocol/mod.ts";
import { Newcomers } from "./newcomers.ts";
import {
  dueAt,
  isAway,
  newPerson,
  type OwnPerson,
  type OwnSocket,
  type PresenceSocket,
  sharedSettings,
} from "./own_person.ts";
import { Partings, type PersonPair } from "./partings.ts";
import { type PresenceHint, Watched, type WatchedOptions } from "./watched.ts";

/** What {@link Presence} is made of. */
export interface PresenceOptions extends Pick<WatchedOptions, "tell" | "isHere" | "now"> {
  /** The settings of some accounts; who is missing has the standard ones. */
  readonly settings: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, PersonSettings>>;
  readonly contacts: (ids: readonly AccountId[], most: number) => Promise<readonly ContactOf[]>;
  /** Those of some pairs who are contacts. */
  readonly inContact: (pairs: readonly PersonPair[]) => Promise<readonly PersonPair[]>;
  /** How some accounts are connected, at any node; rejects where that cannot be found out. */
  readonly connected: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, DeviceStatus>>;
  /** Lets all nodes know whether all devices that an account has here are away. */
  readonly setAway: (account: AccountId, away: boolean) => void;
  /** Sends a hint to the nodes of those it is for, this one too. */
  readonly send: (hint: PresenceHint) => void;
  /** This day, as `2026-01-31`, UTC. */
  readonly today: () => string;
  /** Milliseconds that somebody may be without a socket, and between two changes that are told; standard 30,000. */
  readonly graceMs?: number;
  /** Milliseconds between two looks; standard 1,000. */
  readonly lookMs?: number;
  readonly onFault: (error: unknown) => void;
}

const GRACE_MS = 30_000;
const LOOK_MS = 1_000;
/** People in one look, and in one statement. */
const A_LOOK = 1_000;
const A_STATEMENT = 100;
/** People whose settings are asked for together, and who may wait for that. */
const A_READ = 1_000;
const MOST_READS = 100_000;
/** Contacts of one person who are told, and whom they are told of. */
const MOST_CONTACTS = 1_000;

/** See the head of this file. */
export class Presence implements AsyncDisposable {
  readonly watched: Watched;
  readonly #options: PresenceOptions;
  readonly #graceMs: number;
  readonly #partings: Partings;
  /** Of those who come at once, as after the end of another node, many are asked for together. */
  readonly #settings: Batcher<AccountId, PersonSettings>;
  readonly #people = new Map<AccountId, OwnPerson>();
  /** Who may have to be told of. */
  readonly #due = new Set<AccountId>();
  readonly #newcomers: Newcomers;
  /** Of whom it is to be asked again what they have set: not in their turn, for marks rest on it too. */
  readonly #doubtful = new Set<AccountId>();
  readonly #timer: ReturnType<typeof setInterval>;
  #looking: Promise<void> | undefined;
  #failing = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#graceMs = options.graceMs ?? GRACE_MS;
    this.watched = new Watched({
      ...options,
      graceMs: this.#graceMs,
      isOwn: (account) => this.#people.has(account),
    });
    this.#newcomers = new Newcomers({ watched: this.watched, settings: options.settings });
    this.#partings = new Partings(options);
    this.#settings = new Batcher<AccountId, PersonSettings>(
      async (ids) => {
        const found = await options.settings(ids);
        return ids.map((id) => found.get(id) ?? STANDARD_SETTINGS);
      },
      { most: A_READ, waiting: MOST_READS },
    );
    this.#timer = setInterval(() => void this.look(), options.lookMs ?? LOOK_MS);
  }

  /** People who wait to be told of, or to be told. */
  get waiting(): number {
    return this.#due.size + this.#newcomers.size + this.#partings.size;
  }

  /** What somebody who is connected here set; `undefined` where that is not known yet. */
  settingsOf(account: AccountId): PersonSettings | undefined {
    const own = this.#people.get(account);
    return own === undefined || own.stale === "yes" ? undefined : (own.settings ?? undefined);
  }

  /** The same, asked for where it is not known. */
  async settingsFor(account: AccountId): Promise<PersonSettings> {
    const known = this.settingsOf(account);
    return known ?? this.#settings.ask(account);
  }

  /** Somebody is about to come: what they set is known before. Never rejects. */
  async expect(account: AccountId): Promise<void> {
    if (this.#people.has(account)) return;
    this.#own(account);
    await this.#loadSettings([account]).catch(this.#options.onFault);
  }

  /** A socket is fed: its account is in the directory. Again is the same. */
  came(account: AccountId, socket: PresenceSocket): void {
    const own = this.#own(account);
    if (own.sockets.some((one) => one.socket === socket)) return;
    this.#change(account, own, [...own.sockets, { socket, away: false }]);
    if (own.goneAt === null) return;
    own.goneAt = null;
    own.back = true;
    this.#due.add(account);
  }

  /** A socket has everything it missed of the logs, and is told of its account's contacts. */
  caughtUp(account: AccountId, socket: PresenceSocket): void {
    this.#newcomers.add(account, socket);
  }

  /** A socket has gone; also one that never came. */
  gone(account: AccountId, socket: PresenceSocket): void {
    const own = this.#people.get(account);
    const others = own?.sockets.filter((one) => one.socket !== socket);
    if (own === undefined || others === undefined || others.length === own.sockets.length) return;
    this.#change(account, own, others);
    if (others.length > 0) return;
    own.goneAt = this.#options.now();
    this.#due.add(account);
  }

  /** A device says that its person is at it, or away from it. */
  deviceIs(account: AccountId, socket: PresenceSocket, status: DeviceStatus): void {
    const own = this.#people.get(account);
    if (own === undefined) return;
    const away = status === "away";
    this.#change(
      account,
      own,
      own.sockets.map((one) => (one.socket === socket ? { socket, away } : one)),
    );
  }

  /** Somebody who is connected here may have set something else. */
  settingsChanged(account: AccountId): void {
    const own = this.#people.get(account);
    if (own === undefined) return;
    own.stale = "yes";
    own.chose = true;
    this.#due.add(account);
  }

  /** Hints may have been lost: somebody may have set something else. */
  doubt(): void {
    for (const [account, own] of this.#people) {
      if (own.stale === "no") own.stale = "perhaps";
      this.#doubtful.add(account);
      this.#due.add(account);
    }
  }

  /** What is told of somebody to people here. */
  heard(hint: PresenceHint): void {
    this.watched.heard(hint);
    const own = this.#people.get(hint.of);
    if (own === undefined || !hint.to.includes(hint.of) || own.told === hint.status) return;
    own.told = hint.status;
    own.toldAt = this.#options.now();
    if (own.sockets.length === 0) return;
    // Another node may know better, or not know of the sockets here: what both read decides.
    own.stale = "perhaps";
    own.chose = hint.status === "offline";
    this.#due.add(hint.of);
  }

  /** Two people are no contacts any more: each is told that the other has gone, which is what they will see. */
  part(one: AccountId, other: AccountId): void {
    this.#partings.part([[one, other]]);
    this.mayPart([[one, other]]); // a look that is under way may have found them to be contacts
  }

  /** These may have ceased to be contacts; who has is told so by the look after the next. */
  mayPart(pairs: readonly PersonPair[]): void {
    this.#partings.add(pairs);
  }

  /** Tells what is due, as much as a look may; called every second. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .then(
        () => {
          this.#failing = false;
        },
        (error) => {
          if (!this.#failing) this.#options.onFault(error);
          this.#failing = true;
        },
      )
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** What is known of somebody; who is new counts as gone until a socket comes. */
  #own(account: AccountId): OwnPerson {
    const own = this.#people.get(account);
    if (own !== undefined) return own;
    const fresh = newPerson(this.#options.now());
    this.#people.set(account, fresh);
    this.#due.add(account);
    return fresh;
  }

  #change(account: AccountId, own: OwnPerson, sockets: readonly OwnSocket[]): void {
    const wasAway = isAway(own.sockets);
    own.sockets = sockets;
    if (sockets.length === 0 || isAway(sockets) === wasAway) return;
    this.#options.setAway(account, !wasAway);
    this.#due.add(account);
  }

  async #look(): Promise<void> {
    await this.#askAgain();
    const some = this.#take();
    for (let i = 0; i < some.length; i += A_STATEMENT) {
      const part = some.slice(i, i + A_STATEMENT);
      try {
        await this.#tellAndShow(part);
      } catch (error) {
        for (const account of some.slice(i)) if (this.#people.has(account)) this.#due.add(account);
        throw error;
      }
    }
    await this.watched.look();
    await this.#partings.look();
  }

  /** Asks again what people have set who may have set something else, as many as a look takes. */
  async #askAgain(): Promise<void> {
    const some = [...this.#doubtful.values().take(A_LOOK)];
    for (let i = 0; i < some.length; i += A_STATEMENT) {
      const part = some.slice(i, i + A_STATEMENT);
      await this.#loadSettings(part);
      for (const account of part) this.#doubtful.delete(account);
    }
  }

  /** Whose turn it is. */
  #take(): AccountId[] {
    const some = new Set<AccountId>();
    for (const account of this.#newcomers.accounts()) {
      if (some.size >= A_LOOK) return [...some];
      some.add(account);
    }
    const now = this.#options.now();
    for (const account of this.#due) {
      if (some.size >= A_LOOK) break;
      const own = this.#people.get(account);
      if (own !== undefined && now < dueAt(own, this.#graceMs)) continue;
      this.#due.delete(account);
      some.add(account);
    }
    return [...some];
  }

  /** Some people: tells of those of whom there is something to tell, and tells the sockets of those that ask. */
  async #tellAndShow(accounts: readonly AccountId[]): Promise<void> {
    const people = accounts.filter((account) => this.#people.has(account));
    await this.#loadSettings(people);
    const devices = await this.#options.connected(people);
    const changes = new Map<AccountId, UserStatus>();
    for (const account of people) {
      const status = this.#judge(account, devices.get(account));
      if (status !== null) changes.set(account, status);
    }
    const wanted = accounts.filter((account) => changes.has(account) || this.#newcomers.has(account));
    if (wanted.length === 0) return;
    const lists = await this.#options.contacts(wanted, MOST_CONTACTS);
    // Asked after those who are told of were registered: who is not found will look, and find them.
    const there = await this.#options.connected([...new Set(lists.flatMap(({ contacts }) => contacts))]);
    const shown = await this.#newcomers.shownOf(lists, there);
    for (const { account, contacts } of lists) {
      const present = contacts.filter((contact) => there.has(contact));
      const status = changes.get(account);
      if (status !== undefined) this.#tell(account, status, present);
      this.#newcomers.show(account, contacts, shown);
    }
  }

  /** What is to be told of somebody now, or `null`: nothing. */
  #judge(account: AccountId, device: DeviceStatus | undefined): UserStatus | null {
    const own = this.#people.get(account);
    if (own === undefined || this.#options.now() < dueAt(own, this.#graceMs)) return null; // it only asks
    const { told, back, sockets, settings, goneAt } = own;
    // It came while others were asked for; or it is found because its actor here has not ended yet.
    if (settings === null || (goneAt !== null && this.#options.isHere(account))) {
      this.#due.add(account);
      return null;
    }
    // Registered, and not found: Redis has just lost it, and it will be there again.
    const status = shownStatus(settings.chosenStatus, device ?? (sockets.length > 0 ? "online" : undefined));
    const seen = settings.lastSeenTo === "nobody" ? "offline" : status;
    // Who came and went before a look: another node, that left the rest to this one, may have told that they are there.
    const isUnsure = told === null && goneAt !== null;
    if (seen !== (told ?? "offline") || (back && (seen !== "offline" || isUnsure))) return seen;
    own.told = seen;
    own.chose = false;
    own.back = false;
    if (goneAt !== null) this.#people.delete(account); // nowhere, or at another node, which knows
    return null;
  }

  async #loadSettings(people: readonly AccountId[]): Promise<void> {
    const unknown = people.filter((account) => this.#settingsUnknown(account));
    if (unknown.length === 0) return;
    for (const account of unknown) this.#setStale(account, "no"); // what is set from here on makes it stale again
    try {
      const settings = await Promise.all(unknown.map((account) => this.#settings.ask(account)));
      for (const [i, account] of unknown.entries()) {
        const own = this.#people.get(account);
        if (own === undefined) continue;
        const before = own.settings;
        own.settings = sharedSettings(settings[i] ?? STANDARD_SETTINGS);
        if (before !== null && before !== own.settings) own.chose = true;
      }
    } catch (error) {
      for (const account of unknown) this.#setStale(account, "yes");
      throw error;
    }
  }

  #settingsUnknown(account: AccountId): boolean {
    const own = this.#people.get(account);
    return own !== undefined && (own.stale !== "no" || own.settings === null);
  }

  #setStale(account: AccountId, stale: OwnPerson["stale"]): void {
    const own = this.#people.get(account);
    if (own !== undefined) own.stale = stale;
  }

  #tell(of: AccountId, status: UserStatus, contacts: readonly AccountId[]): void {
    const own = this.#people.get(of);
    if (own === undefined) return;
    own.told = status;
    own.toldAt = this.#options.now();
    own.chose = false;
    own.back = false;
    const isShown = status === "offline" && own.settings?.lastSeenTo !== "nobody";
    const lastSeen = isShown ? this.#options.today() : null;
    // Unless the last socket went while contacts were looked up: then there is more to tell.
    if (own.goneAt !== null && own.toldAt >= own.goneAt + this.#graceMs) this.#people.delete(of);
    this.#options.send({ type: "presence", of, status, lastSeen, to: [...contacts, of] });
  }
}
