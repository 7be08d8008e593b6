/** What the use cases of accounts are given, and how it is put together. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../platform/clock.ts";
import type { MailQueue } from "../platform/mail_queue.ts";
import type { PasswordHasher } from "../platform/password_hash.ts";
import type { Database } from "../platform/postgres.ts";
import type { RateLimiter } from "../platform/rate_limit.ts";
import { deriveKey } from "../platform/secrets.ts";
import { type AccountId, type DeviceId, LIMITS, type SessionId } from "../protocol/mod.ts";
import { lookAtSession } from "./look_at_session.ts";
import { createSessionLiveness, type SessionLiveness } from "./session_liveness.ts";
import { ACCOUNT_RATES, type AccountPolicy, type AccountRates, createThrottle, type Throttle } from "./throttle.ts";

/** What an access token says. Times are milliseconds since the epoch. */
export interface AccessClaims {
  readonly accountId: AccountId;
  readonly sessionId: SessionId;
  readonly deviceId: DeviceId;
  readonly expiresAt: number;
}

/** Signs and reads access tokens; `http/access_tokens.ts` makes one. */
export interface AccessTokens {
  sign(claims: AccessClaims): Promise<string>;
  /** The claims of a token that this server signed, also of one that has expired; else `null`. Never throws. */
  read(token: string): Promise<AccessClaims | null>;
}

/** See the head of this file; made by {@link openAccounts}. */
export interface AccountDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly passwords: PasswordHasher;
  readonly accessTokens: AccessTokens;
  readonly liveness: SessionLiveness;
  /** Characters that a password to choose has at least. */
  readonly passwordLeast: number;
  /** `null` where the server sends no mails. */
  readonly mails: MailQueue | null;
  readonly links: {
    /** Where links in mails lead, without a slash at its end. */
    readonly url: string;
    /** The server's name in mails. */
    readonly server: string;
  };
  readonly throttle: Throttle<AccountPolicy>;
  readonly accessTokenMs: number;
  readonly refreshTokenMs: number;
  /** 32 bytes each: what marks refresh tokens as ours, and what makes the next from the one before. */
  readonly refreshKeys: { readonly tag: Uint8Array; readonly successor: Uint8Array };
  /** 32 bytes: what the names of people who left are hashed with. */
  readonly retiredNameKey: Uint8Array;
  /** 32 bytes each: for the tokens of known devices, and for what guesses are counted by. */
  readonly deviceKey: Uint8Array;
  readonly guessKey: Uint8Array;
  /** The hash of a password that nobody has, so that an unknown name takes as long as a known one. */
  readonly dummyHash: string;
}

/** What {@link openAccounts} is told. */
export interface AccountOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly passwords: PasswordHasher;
  readonly accessTokens: AccessTokens;
  /** The server's secret. Another one makes every refresh token void. */
  readonly secretKey: string | Uint8Array;
  readonly accessTokenMinutes: number;
  /** Days until an unused refresh token ends; each use begins them anew, up to `SESSION_DAYS`. */
  readonly refreshTokenDays: number;
  readonly limiter: RateLimiter;
  /** In the place of some of {@link ACCOUNT_RATES}. */
  readonly rates?: AccountRates;
  /** Characters that a password to choose has at least; standard and least {@link LIMITS.passwordLeast}. */
  readonly passwordLeast?: number;
  /** Sends mails; absent: the server sends none. */
  readonly mails?: MailQueue | null;
  /** Where links in mails lead, without a slash at its end; standard `http://localhost`. */
  readonly linkUrl?: string;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Puts together what the use cases need. Hashes one password, which takes as long as a sign-in. */
export async function openAccounts(options: AccountOptions): Promise<AccountDeps> {
  const { db, clock, passwords, accessTokens } = options;
  const linkUrl = options.linkUrl ?? "http://localhost";
  return {
    db,
    clock,
    passwords,
    accessTokens,
    liveness: createSessionLiveness({ clock, look: (sessionId) => lookAtSession({ db, clock }, sessionId) }),
    throttle: createThrottle({ limiter: options.limiter, rates: { ...ACCOUNT_RATES, ...options.rates } }),
    passwordLeast: Math.max(LIMITS.passwordLeast, options.passwordLeast ?? 0),
    mails: options.mails ?? null,
    links: { url: linkUrl, server: new URL(linkUrl).host },
    accessTokenMs: options.accessTokenMinutes * 60_000,
    refreshTokenMs: options.refreshTokenDays * DAY_MS,
    refreshKeys: {
      tag: deriveKey(options.secretKey, "sotto refresh tag"),
      successor: deriveKey(options.secretKey, "sotto refresh successor"),
    },
    retiredNameKey: deriveKey(options.secretKey, "sotto retired names"),
    deviceKey: deriveKey(options.secretKey, "sotto device token"),
    guessKey: deriveKey(options.secretKey, "sotto password guesses"),
    dummyHash: await passwords.hashPassword(randomBytes(24).toString("base64url")),
  };
}
