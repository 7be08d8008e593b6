import { describe, expect, test } from "bun:test";
import { dictionary } from "@zxcvbn-ts/language-common";
import { foldName } from "../../../src/accounts/names.ts";
import { adviseOnPassword } from "../../../src/accounts/password_rules.ts";
import { workedMs } from "../../support/wait.ts";

const owner = { username: "margaret.h", email: "maggie.hamilton@example.org" };

describe("adviseOnPassword()", () => {
  test.each([
    "correct horse battery",
    "83291-demo-9918273!!",
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
    "SecurePass123", // the chat room takes it, for there strength only advises
    "letmein!",
    "Summer2026!",
    "dragon1234",
    "20.11.1991",
    "kf83jdh2",
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

  test("advises against what people were found to use, as it is and with a capital and a sign", () => {
    const listed = dictionary["passwords-common"] as readonly string[];
    expect(listed.length).toBeGreaterThan(40_000);
    const long = listed.filter(({ length }) => length >= 8);
    for (let i = 0; i < long.length; i += 200) {
      const password = long[i] ?? "";
      const varied = `${password[0]?.toUpperCase()}${password.slice(1)}!`;
      for (const each of [password, varied])
        expect([each, adviseOnPassword(each, owner).length > 0]).toEqual([each, true]);
    }
  });

  test("says what is wrong, and what to do", () => {
    for (const [password, sentence] of [
      ["sunshine1", "Do not use a password that many people use"],
      ["margaret1965", "Do not use your own name"],
      ["abcabcabc", "Do not repeat one short part"],
      ["9876543210", "Do not slide along the keyboard or the alphabet"],
      ["20.11.1991", "Do not build it on a date or a year"],
    ] as const) {
      expect(adviseOnPassword(password, owner)).toEqual([
        sentence,
        "Use three or four words that have nothing to do with each other",
      ]);
    }
  });

  test("looks at both ends of a long one: a strong end is enough, and length alone is not", () => {
    const strong = "violet harbour 93 lantern";
    for (const password of [`${"1".repeat(90)}${strong}`, `${strong}${"1".repeat(90)}`]) {
      expect(adviseOnPassword(password, owner)).toEqual([]);
    }
    for (const part of ["1", "qwertyuiop", "password", "l3tme1n "]) {
      expect(adviseOnPassword(part.repeat(128).slice(0, 128), owner)).not.toEqual([]);
    }
  });

  test("stays fast whatever it is given: without the cut to its ends one of these takes seconds", () => {
    const start = workedMs();
    for (const part of ["a", "ab", "😀", "qwerty", "1", "4@5$0", "aA1!"]) {
      adviseOnPassword(part.repeat(512).slice(0, 512), owner);
    }
    expect(workedMs() - start).toBeLessThan(2_000);
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
