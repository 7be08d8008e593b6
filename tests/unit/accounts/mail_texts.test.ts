import { describe, expect, test } from "bun:test";
import { type MailContent, mailLanguage, writeMail } from "../../../src/accounts/mail_texts.ts";

const LINK = "https://chat.example.org/auth/magic-link#token=abc";
const CONTENTS: readonly MailContent[] = [
  { about: "sign_in", link: LINK },
  { about: "reset_password", link: LINK },
  { about: "verify_email", link: LINK },
  { about: "password_changed" },
  { about: "email_changed" },
];

describe("writeMail()", () => {
  test.each(["en", "de"] as const)(
    "says everything in %s, each in its own words, on lines of plain text",
    (language) => {
      const mails = CONTENTS.map((content) =>
        writeMail("ada@example.org", content, { language, server: "chat.example.org" }),
      );
      expect(new Set(mails.map(({ subject }) => subject)).size).toBe(CONTENTS.length);
      for (const [i, { to, subject, text }] of mails.entries()) {
        expect(to).toBe("ada@example.org");
        expect(subject).toMatch(/^\P{Cc}{10,60}$/u);
        expect(text).not.toMatch(/undefined|\[object|<\w/);
        expect(text.endsWith("chat.example.org\n")).toBe(true);
        // A link stands alone on its line, so that programs make it one.
        expect(text.split("\n").includes(LINK)).toBe("link" in (CONTENTS[i] ?? {}));
      }
    },
  );

  test("differs between the languages", () => {
    const texts = (["en", "de"] as const).map((language) =>
      CONTENTS.map((content) => writeMail("a@example.org", content, { language, server: "x" }).text),
    );
    expect(texts[0]?.some((text) => texts[1]?.includes(text))).toBe(false);
  });
});

test.each([
  [null, "en"],
  ["", "en"],
  ["de", "de"],
  ["de-AT,de;q=0.9,en;q=0.8", "de"],
  ["fr, de;q=0.5, en;q=0.7", "en"],
  ["fr, DE ; q=0.5", "de"],
  ["en;q=0.2, de;q=0.3", "de"],
  ["de;q=0, fr", "en"],
  ["*", "en"],
  ["constructor, __proto__, toString", "en"],
  [";;;,,,q=q=q", "en"],
  ["x".repeat(10_000), "en"],
])("mailLanguage() of %p is %p", (header, language) => {
  expect(mailLanguage({ get: () => header })).toBe(language as "en");
});
