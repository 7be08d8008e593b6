/** Who is in the room over several nodes, with what goes between them lost, late and doubled. */
import { describe, expect, test } from "bun:test";
import { GRACE_MS, Roster, type RosterMessage, SILENT_MS } from "../../../src/compat/room/roster.ts";
import type { AccountId } from "../../../src/protocol/mod.ts";

const id = (name: string) => name as AccountId;
const SECOND_MS = 1_000;

/** Nodes that hear each other as far as the test lets them. */
class World {
  time = 0;
  /** Whether what is sent arrives. */
  connected = true;
  readonly nodes = new Map<string, { readonly roster: Roster; readonly shown: string[] }>();

  /** Starts a node; `begun` with those that are there. */
  node(name: string): { readonly roster: Roster; readonly shown: string[] } {
    const shown: string[] = [];
    const roster = new Roster({
      node: name,
      send: (message) => this.#carry(name, message),
      show: (change, username) => shown.push(`${username} ${change}`),
      now: () => this.time,
    });
    const others = [...this.nodes.keys()];
    const node = { roster, shown };
    this.nodes.set(name, node);
    roster.begin(others);
    return node;
  }

  /** Lets time pass, a second at a time. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += SECOND_MS) {
      this.time += SECOND_MS;
      for (const { roster } of this.nodes.values()) roster.check();
    }
  }

  #carry(from: string, message: RosterMessage): void {
    if (!this.connected) return;
    for (const [name, { roster }] of this.nodes) if (name !== from) roster.receive(message);
  }
}

describe("Roster", () => {
  test("shows each person once, at every node", () => {
    const world = new World();
    const [one, two] = [world.node("one"), world.node("two")];
    one.roster.arrived(id("ann"), "ann");
    one.roster.arrived(id("ann"), "ann");
    two.roster.arrived(id("ann"), "ann");
    two.roster.arrived(id("ben"), "ben");
    expect([one.shown, two.shown]).toEqual([
      ["ann join", "ben join"],
      ["ann join", "ben join"],
    ]);
    one.roster.left(id("ann"));
    one.roster.left(id("ann"));
    world.pass(2 * GRACE_MS);
    expect(one.shown).toHaveLength(2); // she is still at the other node
    two.roster.left(id("ann"));
    world.pass(GRACE_MS - SECOND_MS);
    expect(one.shown).toHaveLength(2);
    world.pass(SECOND_MS);
    expect([one.shown.at(-1), two.shown.at(-1)]).toEqual(["ann leave", "ann leave"]);
    world.pass(60 * SECOND_MS);
    expect([one.shown.length, two.shown.length]).toEqual([3, 3]);
  });

  test("shows nothing of who comes back in time, at another node too", () => {
    const world = new World();
    const [one, two] = [world.node("one"), world.node("two")];
    one.roster.arrived(id("ann"), "ann");
    one.roster.left(id("ann"));
    world.pass(GRACE_MS - SECOND_MS);
    two.roster.arrived(id("ann"), "ann");
    world.pass(60 * SECOND_MS);
    expect([one.shown, two.shown]).toEqual([["ann join"], ["ann join"]]);
  });

  test("does not show a new node's people who was there before, and shows who came while it asked", () => {
    const world = new World();
    const one = world.node("one");
    one.roster.arrived(id("ann"), "ann");
    world.pass(60 * SECOND_MS);
    world.connected = false;
    const two = world.node("two"); // its question is lost
    two.roster.arrived(id("ben"), "ben");
    world.pass(SECOND_MS);
    one.roster.arrived(id("cat"), "cat");
    expect(two.shown).toEqual([]);
    world.connected = true;
    world.pass(10 * SECOND_MS);
    expect(two.shown.filter((shown) => shown !== "ann join").sort()).toEqual(["ben join", "cat join"]);
    expect(one.shown).toEqual(["ann join", "cat join", "ben join"]);
    const three = world.node("three");
    three.roster.arrived(id("dan"), "dan");
    expect(three.shown).toEqual(["dan join"]);
  });

  test("mends what was lost: a join and a leave that were not told are shown some seconds later", () => {
    const world = new World();
    const [one, two] = [world.node("one"), world.node("two")];
    one.roster.arrived(id("ann"), "ann");
    world.connected = false;
    one.roster.left(id("ann"));
    one.roster.arrived(id("ben"), "ben");
    expect(two.shown).toEqual(["ann join"]);
    world.connected = true;
    world.pass(6 * SECOND_MS + GRACE_MS);
    expect(two.shown.sort()).toEqual(["ann join", "ann leave", "ben join"]);
  });

  test("takes a node that is silent for gone with its people, and shows them again when it is heard", () => {
    const world = new World();
    const [one, two] = [world.node("one"), world.node("two")];
    two.roster.arrived(id("ann"), "ann");
    world.connected = false;
    world.pass(SILENT_MS - SECOND_MS);
    expect(one.shown).toEqual(["ann join"]);
    world.pass(SECOND_MS + GRACE_MS);
    expect(one.shown).toEqual(["ann join", "ann leave"]);
    world.connected = true;
    world.pass(6 * SECOND_MS);
    expect(one.shown).toEqual(["ann join", "ann leave", "ann join"]);
    two.roster.end();
    world.pass(GRACE_MS);
    expect(one.shown.at(-1)).toBe("ann leave");
  });
});
