/** Presence by a clock that the test moves and looks that it orders; contacts and the directory are the test's own. */
import { describe, expect, test } from "bun:test";
import type { Delivery } from "../../src/conversations/mod.ts";
import type { PersonSettings } from "../../src/people/mod.ts";
import {
  type AccountId,
  type ConversationId,
  LIMITS,
  type MessageId,
  type ServerFrame,
  type UserStatus,
} from "../../src/protocol/mod.ts";
import type { PresenceSocket } from "../../src/realtime/own_person.ts";
import { type PersonPair, partingsOf } from "../../src/realtime/partings.ts";
import { Presence } from "../../src/realtime/presence.ts";
import type { PresenceHint } from "../../src/realtime/watched.ts";

const GRACE_MS = 30_000;

/** A socket that keeps what it is sent. */
class TestSocket implements PresenceSocket {
  readonly authenticated = true;
  blocked = false;
  readonly frames: ServerFrame[] = [];
  sendFrame(frame: ServerFrame): void {
    this.frames.push(frame);
  }
}

/** One node; `watcher` is a contact of everybody and is connected here. */
class World implements AsyncDisposable {
  now = 1_000_000;
  readonly sent: PresenceHint[] = [];
  readonly told: { watcher: AccountId; of: AccountId; status: UserStatus }[] = [];
  /** Who has an actor at this node. */
  readonly here = new Set<AccountId>();
  /** Who is connected, at any node. */
  readonly there = new Map<AccountId, "online" | "away">();
  readonly settings = new Map<AccountId, PersonSettings>();
  readonly watcher = "watcher" as AccountId;
  contactsOf: (id: AccountId) => readonly AccountId[] = (id) => (id === this.watcher ? [] : [this.watcher]);
  /** Pairs that were asked about, and those of them who are contacts. */
  readonly pairs: PersonPair[] = [];
  inContact: (pair: PersonPair) => boolean = () => false;
  /** How many accounts each look-up of settings was for. */
  readonly reads: number[] = [];
  /** How many accounts each look-up of contacts was for. */
  readonly lookUps: number[] = [];
  fails = false;
  readonly presence: Presence;

  constructor() {
    this.presence = new Presence({
      settings: async (ids) => {
        this.reads.push(ids.length);
        return new Map([...this.settings].filter(([id]) => ids.includes(id)));
      },
      inContact: async (pairs) => {
        this.pairs.push(...pairs);
        if (this.fails) throw new Error("The database is away");
        return pairs.filter(this.inContact);
      },
      contacts: async (ids) => {
        this.lookUps.push(ids.length);
        if (this.fails) throw new Error("The database is away");
        return ids.map((account) => ({ account, contacts: this.contactsOf(account) }));
      },
      connected: async (ids) => {
        const found = new Map<AccountId, "online" | "away">();
        for (const id of ids) {
          const status = this.there.get(id);
          if (status !== undefined) found.set(id, status);
        }
        return found;
      },
      setAway: (account, away) => void this.there.set(account, away ? "away" : "online"),
      send: (hint) => {
        this.sent.push(hint);
        this.presence.heard(hint);
      },
      tell: (watcher, { of, status }) => {
        this.told.push({ watcher, of, status });
        return true;
      },
      isHere: (account) => this.here.has(account),
      now: () => this.now,
      today: () => "2026-01-31",
      lookMs: 3_600_000, // the test looks
      onFault: () => {},
    });
    this.there.set(this.watcher, "online");
    this.here.add(this.watcher);
  }

  come(account: AccountId): TestSocket {
    const socket = new TestSocket();
    this.there.set(account, "online");
    this.presence.came(account, socket);
    return socket;
  }

  go(account: AccountId, socket: PresenceSocket): void {
    this.there.delete(account);
    this.presence.gone(account, socket);
  }

  /** Looks until nothing is due now. */
  async look(): Promise<void> {
    for (let i = 0; i < 20; i++) await this.presence.look();
  }

  /** What the watcher was told of somebody. */
  of(account: AccountId): UserStatus[] {
    return this.told.filter(({ of }) => of === account).map(({ status }) => status);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.presence[Symbol.asyncDispose]();
  }
}

const ann = "ann" as AccountId;

describe("Presence", () => {
  test("tells that somebody has gone once they were without a socket for half a minute [PRE-1]", async () => {
    await using world = new World();
    const socket = world.come(ann);
    await world.look();
    world.go(ann, socket);
    world.now += GRACE_MS - 1;
    await world.look();
    expect(world.of(ann)).toEqual(["online"]);
    world.now += 1;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "offline"]);
    expect(world.sent.at(-1)).toMatchObject({ of: ann, lastSeen: "2026-01-31" });
    expect(world.presence.waiting).toBe(0);
  });

  test("ten thousand reconnects are at most one change in half a minute [PRE-1]", async () => {
    await using world = new World();
    let socket = world.come(ann);
    await world.look();
    for (let i = 0; i < 10_000; i++) {
      world.go(ann, socket);
      world.now += 6;
      socket = world.come(ann);
      if (i % 100 === 0) await world.presence.look();
    }
    await world.look();
    expect(world.of(ann)).toEqual(["online"]);
    // What goes to the nodes of contacts is bounded too: once in the half minute, a minute long.
    expect(world.sent.length).toBeLessThanOrEqual(3);
  });

  test("ten thousand people who come back at once take bounded looks, and cause no change [PRE-1]", async () => {
    await using world = new World();
    const people = Array.from({ length: 10_000 }, (_, i) => `person ${i}` as AccountId);
    let sockets = people.map((person) => world.come(person));
    await world.presence.look();
    expect(world.sent.length).toBe(1_000);
    expect(Math.max(...world.lookUps)).toBeLessThanOrEqual(100);
    await world.look();
    expect(world.told.length).toBe(10_000);
    for (const [i, person] of people.entries()) world.go(person, sockets[i] as TestSocket);
    world.now += 20_000;
    sockets = people.map((person) => world.come(person));
    world.now += GRACE_MS;
    await world.look();
    expect(world.told.length).toBe(10_000);
    expect(world.presence.waiting).toBe(0);
  });

  test("tells one change in half a minute, the last; what somebody chose, in five seconds", async () => {
    await using world = new World();
    const socket = world.come(ann);
    await world.look();
    for (const status of ["away", "online", "away"] as const) {
      world.presence.deviceIs(ann, socket, status);
      await world.look();
    }
    expect(world.of(ann)).toEqual(["online"]);
    world.now += GRACE_MS;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "away"]);
    world.settings.set(ann, { chosenStatus: "dnd", lastSeenTo: "contacts", readReceipts: true });
    world.presence.settingsChanged(ann);
    await world.look();
    expect(world.of(ann)).toEqual(["online", "away"]);
    world.now += GRACE_MS / 6;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "away", "dnd"]);
  });

  test("tells nothing of who shows it to nobody, and that they have gone when they begin to hide [PRE-3]", async () => {
    await using world = new World();
    const hidden: PersonSettings = { chosenStatus: null, lastSeenTo: "nobody", readReceipts: true };
    world.settings.set(ann, hidden);
    const socket = world.come(ann);
    await world.look();
    expect(world.sent).toEqual([]);
    world.settings.set(ann, { ...hidden, lastSeenTo: "contacts" });
    world.presence.settingsChanged(ann);
    await world.look();
    world.settings.set(ann, hidden);
    world.presence.settingsChanged(ann);
    world.now += GRACE_MS;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "offline"]);
    expect(world.sent.at(-1)?.lastSeen).toBeNull();
    world.go(ann, socket);
    world.now += GRACE_MS;
    await world.look();
    expect(world.sent).toHaveLength(2);
  });

  test("who hides is not shown to a device that comes, where the hint that said so was lost [PRE-3]", async () => {
    await using world = new World();
    world.come(ann);
    await world.look();
    expect(world.of(ann)).toEqual(["online"]);
    world.settings.set(ann, { chosenStatus: null, lastSeenTo: "nobody", readReceipts: true });
    const ben = "ben" as AccountId;
    world.contactsOf = (id) => (id === ben ? [ann] : [world.watcher]);
    world.here.add(ben);
    const socket = world.come(ben);
    world.presence.caughtUp(ben, socket);
    await world.look();
    expect(socket.frames).toEqual([]);
  });

  test("a device that comes is told of contacts who are not offline; one that is full, later [PRE-4]", async () => {
    await using world = new World();
    const contacts = Array.from({ length: 1_000 }, (_, i) => `contact ${i}` as AccountId);
    world.contactsOf = (id) => (id === ann ? contacts : []);
    for (const contact of contacts.slice(0, 400)) world.there.set(contact, "online");
    world.there.set("contact 1" as AccountId, "away");
    world.settings.set("contact 2" as AccountId, { chosenStatus: "dnd", lastSeenTo: "everybody", readReceipts: true });
    world.settings.set("contact 3" as AccountId, {
      chosenStatus: "offline",
      lastSeenTo: "contacts",
      readReceipts: true,
    });
    world.settings.set("contact 4" as AccountId, { chosenStatus: null, lastSeenTo: "nobody", readReceipts: true });
    const socket = world.come(ann);
    socket.blocked = true;
    world.presence.caughtUp(ann, socket);
    await world.look();
    expect(socket.frames).toEqual([]);
    socket.blocked = false;
    await world.look();
    const shown = new Map(
      socket.frames.map((frame) => (frame.type === "presence_update" ? [frame.user_id, frame.status] : ["", ""])),
    );
    expect(socket.frames).toHaveLength(398);
    expect(
      ["contact 0", "contact 1", "contact 2", "contact 3", "contact 4", "contact 500"].map((id) => shown.get(id)),
    ).toEqual(["online", "away", "dnd", undefined, undefined, undefined]);
  });

  test("who is watched from here and at no node any more is offline after the same time, without anybody telling", async () => {
    await using world = new World();
    world.there.set(ann, "online");
    world.presence.heard({ type: "presence", of: ann, status: "online", lastSeen: null, to: [world.watcher] });
    await world.look();
    world.there.delete(ann); // her node was killed, and its lease is over
    await world.look();
    world.now += GRACE_MS - 1;
    await world.look();
    expect(world.of(ann)).toEqual(["online"]);
    world.now += 1;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "offline"]);
    expect(world.presence.watched.pairs).toBe(0);
  });

  test("who comes from another node and goes before this one has looked is told of all the same [PRE-1]", async () => {
    await using world = new World();
    world.presence.heard({ type: "presence", of: ann, status: "online", lastSeen: null, to: [world.watcher] });
    world.go(ann, world.come(ann));
    world.now += GRACE_MS;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "offline"]);
  });

  test("a node that hears of somebody who is here that they are offline says what is true", async () => {
    await using world = new World();
    world.come(ann);
    await world.look();
    world.now += GRACE_MS;
    world.presence.heard({ type: "presence", of: ann, status: "offline", lastSeen: null, to: [world.watcher, ann] });
    world.now += GRACE_MS / 6;
    await world.look();
    expect(world.of(ann)).toEqual(["online", "offline", "online"]);
  });

  test("what could not be looked up is told later", async () => {
    await using world = new World();
    world.fails = true;
    world.come(ann);
    await world.look();
    expect(world.told).toEqual([]);
    world.fails = false;
    await world.look();
    expect(world.of(ann)).toEqual(["online"]);
  });

  test("who moves to another node is told of by that one alone, and two people who part are told so", async () => {
    await using world = new World();
    const socket = world.come(ann);
    await world.look();
    world.presence.gone(ann, socket);
    world.now += GRACE_MS;
    await world.look(); // still found: at another node
    expect(world.of(ann)).toEqual(["online"]);
    world.presence.part(ann, world.watcher);
    expect(world.of(ann)).toEqual(["online", "offline"]);
  });

  test("asks for the settings of ten thousand who come to a node at once in a few statements", async () => {
    await using world = new World();
    const people = Array.from({ length: 10_000 }, (_, i) => `person ${i}` as AccountId);
    world.settings.set("person 7" as AccountId, { chosenStatus: "dnd", lastSeenTo: "contacts", readReceipts: false });
    await Promise.all(people.map((person) => world.presence.expect(person)));
    expect(world.reads.length).toBeLessThanOrEqual(11);
    expect(world.presence.settingsOf("person 7" as AccountId)?.readReceipts).toBe(false);
    expect(world.presence.settingsOf("person 9999" as AccountId)?.readReceipts).toBe(true);
  });
});

describe("Presence of who is no contact any more", () => {
  const cem = "cem" as AccountId;

  test("is taken back both ways by the look after the next, and again from who is still a contact nothing", async () => {
    await using world = new World();
    world.come(ann);
    world.come(cem);
    await world.look();
    world.inContact = ([, other]) => other === cem;
    const { watcher } = world;
    world.presence.mayPart([
      [watcher, ann],
      [watcher, cem],
    ]);
    const sent = world.sent.length;
    await world.presence.look();
    expect(world.sent.length).toBe(sent); // what was about to be told elsewhere has its time
    await world.presence.look();
    expect([world.of(ann), world.of(cem)]).toEqual([["online", "offline"], ["online"]]);
    expect(world.sent.slice(sent).map(({ of, to }) => [of, ...to])).toEqual([
      [watcher, ann],
      [ann, watcher],
    ]);
    expect(world.presence.waiting).toBe(0);
  });

  test("is asked about where one of two is connected, and again where that failed", async () => {
    await using world = new World();
    world.presence.mayPart([
      [ann, cem],
      [world.watcher, ann],
    ]);
    world.fails = true;
    await world.look();
    expect(world.sent).toEqual([]);
    world.fails = false;
    await world.look();
    expect(new Set(world.pairs.map(String))).toEqual(new Set([`${world.watcher},${ann}`]));
    expect(world.sent.map(({ of }) => of)).toEqual([world.watcher, ann]);
  });

  test("is what a change of members may end: somebody left, all did, or one made it too large", () => {
    const people = (count: number) => Array.from({ length: count }, (_, i) => `p${i}` as AccountId);
    const of = (change: "joined" | "left" | "ended", who: AccountId[], rest: Pick<Delivery, "recipients" | "left">) =>
      partingsOf({
        ...{ stored: true, ...rest },
        entry: {
          ...{ kind: "membership", id: "m" as MessageId, conversationId: "c" as ConversationId, seq: 1 },
          ...{ senderId: ann, createdAt: 0, expiresAt: null, content: { change, user_ids: who } },
        },
      });
    expect(of("left", [ann], { recipients: people(2), left: [ann] })).toEqual([
      [ann, "p0" as AccountId],
      [ann, "p1" as AccountId],
    ]);
    expect(of("ended", [], { recipients: [], left: people(3) }).map(String)).toEqual(["p0,p1", "p0,p2", "p1,p2"]);
    const most = LIMITS.contactGroup;
    expect(of("left", [ann], { recipients: people(most), left: [ann] })).toEqual([]);
    expect(of("joined", [ann], { recipients: [...people(most - 1), ann] })).toEqual([]);
    expect(of("joined", [ann], { recipients: [...people(most), ann] })).toHaveLength((most * (most - 1)) / 2);
    expect(of("joined", [ann], { recipients: [...people(most + 1), ann] })).toEqual([]);
  });
});
