/**
 * Rotation of refresh tokens (RFC 9700 section 4.14.2).
 *
 *   current token             -> the next token; the current one becomes the previous one
 *   previous token, within 30 s, successor unused:
 *     first time              -> the same next token again: its answer may have been lost on the way
 *     further times           -> refresh_raced; nothing ends
 *   any other token of ours   -> refresh_reused; the session ends, since two hold what one should
 *   session ended or expired  -> unauthorized
 *
 * All refreshes of a session wait for its row, so of any number at once one rotates.
 */
import { type AccountId, DomainError, type SessionId } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { nextRefreshToken, type RefreshToken, readRefreshToken } from "./refresh_token.ts";
import { endSession, forgiveSession, lockSession, rotateSession, type StoredSession } from "./sessions_store.ts";
import { answerWithTokens, type TokenAnswer } from "./start_session.ts";

/** Milliseconds during which the answer to a refresh may be asked for again. */
export const FORGIVENESS_MS = 30_000;

/** New tokens; or a session that ended because its token was used twice, and what to tell the caller. */
export type RefreshResult =
  | { readonly answer: TokenAnswer }
  | { readonly refusal: DomainError; readonly accountId: AccountId; readonly ended: readonly SessionId[] };

/** What is to be done with a refresh token; see the head of this file. */
export type RefreshVerdict = "rotate" | "repeat" | "raced" | "reused" | "void";

/** Gives new tokens for a refresh token. Throws `unauthorized` and `refresh_raced`; see the head of this file. */
export async function refreshSession(
  deps: AccountDeps,
  input: { readonly refreshToken: string; readonly address: string },
): Promise<RefreshResult> {
  const token = readRefreshToken(deps.refreshKeys, input.refreshToken);
  // Also for a token that is none: it costs little, but not nothing.
  const bySession = token === null ? [] : [["refresh_session", token.sessionId] as const];
  await deps.throttle.take(["refresh_address", input.address], ...bySession);
  if (token === null) throw new DomainError("unauthorized");
  const now = deps.clock.now();
  const next = nextRefreshToken(deps.refreshKeys, token);
  const { session, verdict } = await deps.db.transaction(async (tx) => {
    const found = await lockSession(tx, token.sessionId);
    if (found === undefined) throw new DomainError("unauthorized");
    const judged = judgeRefresh(found, token, now);
    if (judged === "rotate") {
      const expiresAt = Math.min(now + deps.refreshTokenMs, found.expiresLatest);
      await rotateSession(tx, { id: found.id, refreshHash: next.hash, now, expiresAt });
      return { session: { ...found, expiresAt }, verdict: judged };
    }
    if (judged === "repeat") await forgiveSession(tx, found.id);
    if (judged === "reused") await endSession(tx, found.id, now);
    return { session: found, verdict: judged };
  });
  switch (verdict) {
    case "rotate":
    case "repeat":
      return { answer: await answerWithTokens(deps, { ...session, refreshToken: next }) };
    case "raced":
      throw new DomainError("refresh_raced");
    case "void":
      throw new DomainError("unauthorized");
    case "reused":
      deps.liveness.drop([session.id]);
      return { refusal: new DomainError("refresh_reused"), accountId: session.accountId, ended: [session.id] };
  }
}

/** Decides about a token of the session, by the session's row as it is under the lock. `now`: milliseconds since the epoch. */
export function judgeRefresh(session: StoredSession, token: RefreshToken, now: number): RefreshVerdict {
  if (session.ended || now >= session.expiresAt) return "void";
  if (token.hash.equals(session.refreshHash)) return "rotate";
  const isPrevious = session.previousHash !== null && token.hash.equals(session.previousHash);
  if (!isPrevious || now - session.rotatedAt > FORGIVENESS_MS) return "reused";
  return session.forgiven ? "raced" : "repeat";
}
