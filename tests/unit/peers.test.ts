import { describe, expect, test } from "bun:test";
import { Peers, SILENT_MS } from "../../src/realtime/peers.ts";

const MINUTE = 60_000;

describe("Peers", () => {
  test("doubts nothing as long as every number follows and every beat agrees", () => {
    const [here, there] = [new Peers(), new Peers()];
    for (let now = 0; now < 100_000; now += 1_000) {
      for (let i = 0; i < (now / 1_000) % 4; i++) expect(here.message("there", there.next("here"), now)).toBe(false);
      expect(here.beat("there", there.sent()["here"] ?? 0, now)).toBe(false);
      expect(here.check(now)).toBe(false);
    }
    expect(here.silent).toBe(false);
  });

  test("doubts a message whose number does not follow, once", () => {
    const peers = new Peers();
    expect(peers.message("there", 1, 0)).toBe(false);
    expect(peers.message("there", 3, 0)).toBe(true);
    expect(peers.message("there", 4, 0)).toBe(false);
    expect(peers.beat("there", 4, 0)).toBe(false);
  });

  test("doubts a beat that speaks of messages which never came, once", () => {
    const peers = new Peers();
    expect(peers.beat("there", 0, 0)).toBe(false);
    expect(peers.beat("there", 2, 0)).toBe(true);
    expect(peers.beat("there", 2, 0)).toBe(false);
    expect(peers.message("there", 3, 0)).toBe(false);
  });

  test("a failed look-up makes every known node doubt", () => {
    const [here, there, third] = [new Peers(), new Peers(), new Peers()];
    for (const node of ["there", "third"]) here.beat(node, 0, 0);
    here.missed();
    expect(there.beat("here", here.sent()["there"] ?? 0, 0)).toBe(true);
    expect(third.beat("here", here.sent()["third"] ?? 0, 0)).toBe(true);
  });

  test("a node that falls silent is doubted once, and stays a reason to compare until it is heard or forgotten", () => {
    const peers = new Peers();
    peers.beat("there", 0, 0);
    expect(peers.check(SILENT_MS - 1)).toBe(false);
    expect(peers.check(SILENT_MS)).toBe(true);
    expect(peers.check(SILENT_MS + 1_000)).toBe(false);
    expect(peers.silent).toBe(true);
    expect(peers.beat("there", 0, 10_000)).toBe(false);
    expect(peers.silent).toBe(false);
    expect(peers.check(10_000 + SILENT_MS)).toBe(true);
    peers.check(10_000 + 5 * MINUTE);
    expect(peers.silent).toBe(false);
    expect(peers.size).toBe(0);
  });

  test("a node that said goodbye is not waited for", () => {
    const peers = new Peers();
    peers.beat("there", 0, 0);
    peers.ended("there");
    expect(peers.check(MINUTE)).toBe(false);
    expect(peers.silent).toBe(false);
  });

  test("a node that was forgotten here and begins to count anew is doubted, and then believed", () => {
    const peers = new Peers();
    for (let n = 1; n <= 5; n++) peers.message("there", n, 0);
    expect(peers.message("there", 1, 1)).toBe(true);
    expect(peers.message("there", 2, 1)).toBe(false);
    expect(peers.beat("there", 0, 1)).toBe(true);
    expect(peers.beat("there", 0, 1)).toBe(false);
  });
});
