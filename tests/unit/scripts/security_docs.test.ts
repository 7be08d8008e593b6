/** docs/security.md: every test that its table names is there, and every row of ASVS level 1 has its place. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../../..");
const PAGE = readFileSync(join(ROOT, "docs/security.md"), "utf8");
const ROWS = [...PAGE.matchAll(/^\| (\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \|$/gm)];
/** How many rows each chapter of ASVS 5.0.0 has on level 1: 70 in all. */
const CHAPTERS = { 1: 8, 2: 4, 3: 8, 4: 2, 5: 4, 6: 13, 7: 6, 8: 4, 9: 4, 10: 5, 11: 3, 12: 3, 13: 1, 14: 2, 15: 3 };

test("the table has every row of level 1 once", () => {
  const ids = ROWS.map(([, id = ""]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const counted: Record<string, number> = {};
  for (const id of ids) {
    const [chapter = ""] = id.split(".");
    counted[chapter] = (counted[chapter] ?? 0) + 1;
  }
  expect(counted).toEqual(CHAPTERS);
});

test("every row names a test that is there, or says why it does not apply or where it is written", () => {
  let named = 0;
  for (const [, id, , shown = ""] of ROWS) {
    const tests = [...shown.matchAll(/`(tests\/[^`]+)`: (.+)$/g)];
    for (const [, path = "", title = ""] of tests) {
      expect([id, existsSync(join(ROOT, path))]).toEqual([id, true]);
      expect([id, title, readFileSync(join(ROOT, path), "utf8").includes(title.trim())]).toEqual([id, title, true]);
      named++;
    }
    if (tests.length === 0) expect([id, shown]).toEqual([id, expect.stringMatching(/^(n\/a|above)/)]);
  }
  expect(named).toBeGreaterThan(45);
});
