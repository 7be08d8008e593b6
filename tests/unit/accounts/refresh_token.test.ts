import { describe, expect, test } from "bun:test";
import { FORGIVENESS_MS, judgeRefresh } from "../../../src/accounts/refresh_session.ts";
import { firstRefreshToken, nextRefreshToken, readRefreshToken } from "../../../src/accounts/refresh_token.ts";
import type { StoredSession } from "../../../src/accounts/sessions_store.ts";
import { AccountId, DeviceId, SessionId, uuidv7 } from "../../../src/protocol/mod.ts";

const keys = { tag: new Uint8Array(32).fill(1), successor: new Uint8Array(32).fill(2) };
const sessionId = SessionId.parse(uuidv7());

describe("refresh tokens", () => {
  test("are read back with their session and number", () => {
    const first = firstRefreshToken(keys, sessionId);
    expect(readRefreshToken(keys, first.text)).toEqual(first);
    const second = nextRefreshToken(keys, first);
    expect(readRefreshToken(keys, second.text)).toMatchObject({ sessionId, generation: 1 });
  });

  test("of two sign-ins differ, and the next one is always the same", () => {
    const [a, b] = [firstRefreshToken(keys, sessionId), firstRefreshToken(keys, sessionId)];
    expect(a.text).not.toBe(b.text);
    expect(nextRefreshToken(keys, a)).toEqual(nextRefreshToken(keys, a));
    expect(nextRefreshToken(keys, a).text).not.toBe(nextRefreshToken(keys, b).text);
  });

  test("are of no use with another secret, nor with any one character changed", () => {
    const { text } = firstRefreshToken(keys, sessionId);
    expect(readRefreshToken({ ...keys, tag: new Uint8Array(32).fill(3) }, text)).toBeNull();
    for (let i = 0; i < text.length; i++) {
      const changed = text.slice(0, i) + (text[i] === "A" ? "B" : "A") + text.slice(i + 1);
      expect(readRefreshToken(keys, changed)).toBeNull();
    }
  });
});

describe("judgeRefresh()", () => {
  const zeroth = firstRefreshToken(keys, sessionId);
  const first = nextRefreshToken(keys, zeroth);
  const second = nextRefreshToken(keys, first);
  const rotatedAt = 1_000_000;
  const session: StoredSession = {
    id: sessionId,
    accountId: AccountId.parse(uuidv7()),
    deviceId: DeviceId.parse(uuidv7()),
    generation: 2,
    refreshHash: second.hash,
    previousHash: first.hash,
    rotatedAt,
    forgiven: false,
    expiresAt: rotatedAt + 86_400_000,
    expiresLatest: rotatedAt + 86_400_000,
    ended: false,
  };

  test.each([
    ["the current token", second, session, 0, "rotate"],
    ["the previous token", first, session, 0, "repeat"],
    ["the previous token at the last moment", first, session, FORGIVENESS_MS, "repeat"],
    ["the previous token too late", first, session, FORGIVENESS_MS + 1, "reused"],
    ["the previous token a second time", first, { ...session, forgiven: true }, 0, "raced"],
    ["the previous token a second time, too late", first, { ...session, forgiven: true }, FORGIVENESS_MS + 1, "reused"],
    ["an older token", zeroth, session, 0, "reused"],
    [
      "another token of the same number",
      firstRefreshToken(keys, sessionId),
      { ...session, previousHash: null },
      0,
      "reused",
    ],
    ["the current token of an ended session", second, { ...session, ended: true }, 0, "void"],
    ["an older token of an ended session", zeroth, { ...session, ended: true }, 0, "void"],
    ["the current token at its end", second, session, 86_400_000, "void"],
  ] as const)("of %s", (_, token, row, afterMs, verdict) => {
    expect(judgeRefresh(row, token, rotatedAt + afterMs)).toBe(verdict);
  });
});
