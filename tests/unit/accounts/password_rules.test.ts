import { describe, expect, test } from "bun:test";
import { foldName } from "../../../src/accounts/names.ts";
import { adviseOnPassword } from "../../../src/accounts/password_rules.ts";

const owner = { username: "margaret.h", email: "maggie.hamilton@example.org" };

describe("adviseOnPassword()", () => {
  test.each([
    "correct horse battery",
    "83291-demo-9918273!!",
    "SecurePass123",
    "tr0ub4dor&3xkcd",
    "ünïcödé wörds",
    "my cat eats qwerty keys",
    "abcdefg then something else",
    "margaret walks to the moon",
    "пароль из слов",
  ])("has nothing against %p", (password) => {
    expect(adviseOnPassword(password, owner)).toEqual([]);
  });

  test.each([
    "password",
    "Password123",
    "P4SSW0RD!",
    "123letmein!!",
    "qwertyuiop",
    "1qaz2wsx3edc",
    "9876543210",
    "zyxwvutsrq",
    "margaret.h1",
    "xMARGARET.Hx",
    "maggie.hamilton!",
    "maggie.hamilton@example.org",
    "h.teragram99",
    "abababababab",
    "xyz1xyz1xyz1",
    "11111111",
    "aabbaabbaabb",
    "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", // "password" in full-width letters
  ])("advises against %p", (password) => {
    expect(adviseOnPassword(password, owner).length).toBeGreaterThan(0);
  });

  test("counts characters and not code units", () => {
    expect(adviseOnPassword("😀🐙🚲🌍🎻🧊", owner)).toContain("Use at least 8 characters");
    expect(adviseOnPassword("😀🐙🚲🌍🎻🧊🍞🔑", owner)).toEqual([]);
  });

  test("stays fast whatever it is given", () => {
    const start = performance.now();
    for (const part of ["a", "ab", "😀", "qwerty", "1"]) adviseOnPassword(part.repeat(128).slice(0, 128), owner);
    expect(performance.now() - start).toBeLessThan(200);
  });
});

test("foldName() gives one form to what people take for one name, and is stable", () => {
  for (const [a, b] of [
    ["Ada", "ADA"],
    ["\u00e9", "e\u0301"],
    ["\uff21da", "ada"],
    ["\ufb01n", "FIN"],
    ["\u0130x", "i\u0307X"],
  ] as const) {
    expect(foldName(a)).toBe(foldName(b));
    expect(foldName(foldName(a))).toBe(foldName(a));
  }
});
