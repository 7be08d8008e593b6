/**
 * The tokens of one session, and their renewal.
 *
 * - However many callers need a new token, one refresh is in flight.
 * - A refresh token works once. Where the answer was lost the same token is sent again: the
 *   server forgives that once, for 30 s after it rotated.
 * - New tokens are handed to `onSession` before they are used, so that an app has stored them.
 */
import { z } from "zod";
import { AccountId, DeviceId, SessionId } from "../protocol/mod.ts";
import { type HttpOptions, request } from "./http.ts";
import { SottoError } from "./sotto_error.ts";
import { backoffMs, delay } from "./timing.ts";

/** A session as an app may store it; it holds secrets. */
export interface Session {
  readonly userId: AccountId;
  readonly sessionId: SessionId;
  readonly deviceId: DeviceId;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Kept beyond the session: at the next sign-in it shows that the device is known. */
  readonly deviceToken?: string;
  /** When the access token ends, milliseconds since the epoch by this device's clock. */
  readonly expiresAt: number;
}

/** Told of every change of the tokens; awaited before they are used. */
export type OnSession = (session: Session) => void | Promise<void>;

/** The tokens in an answer. */
export const TokenAnswer = z.object({
  access_token: z.string(),
  refresh_token: z.string(),
  expires_in: z.number(),
  session_id: SessionId,
  device_id: DeviceId,
  device_token: z.string().optional(),
});

/** Makes a session of an answer. `now`: milliseconds since the epoch. */
export function toSession(userId: AccountId, answer: z.infer<typeof TokenAnswer>, now: number): Session {
  return {
    userId,
    sessionId: answer.session_id,
    deviceId: answer.device_id,
    accessToken: answer.access_token,
    refreshToken: answer.refresh_token,
    ...(answer.device_token === undefined ? {} : { deviceToken: answer.device_token }),
    expiresAt: now + answer.expires_in * 1_000,
  };
}

/** The user in a token answer's neighbourhood: only the id is needed. */
export const UserOfAnswer = z.object({ user: z.object({ id: AccountId }) });

const TRIES = 3;
const EARLY_MS = 30_000;

/** Keeps the tokens of one session fresh. */
export class SessionKeeper {
  readonly #http: HttpOptions;
  readonly #onSession: OnSession;
  #session: Session;
  #refreshing: Promise<string> | undefined;

  constructor(http: HttpOptions, session: Session, onSession: OnSession) {
    this.#http = http;
    this.#session = session;
    this.#onSession = onSession;
  }

  /** The session as it is now. */
  get session(): Session {
    return this.#session;
  }

  /** An access token that is valid for a while; a new one if `stale` is the current one. */
  token(stale?: string): Promise<string> {
    const { accessToken, expiresAt } = this.#session;
    const usable = accessToken !== stale && expiresAt - this.#http.timing.now() > EARLY_MS;
    return usable ? Promise.resolve(accessToken) : this.refresh();
  }

  /** Gets new tokens and gives the access token. Rejects with `unauthorized` when the session has ended. */
  refresh(): Promise<string> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<string> {
    const { timing } = this.#http;
    const body = { refresh_token: this.#session.refreshToken };
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = readTokens(await request(this.#http, { method: "POST", path: "/api/auth/refresh", body }));
        const session = toSession(this.#session.userId, answer, timing.now());
        // The app has stored it before anybody uses it: what is used and not stored is lost with a crash.
        await this.#onSession(session);
        this.#session = session;
        return session.accessToken;
      } catch (error) {
        if (!(error instanceof SottoError) || !error.retryable || attempt + 1 >= TRIES) throw error;
        await delay(timing, backoffMs(attempt, timing.random(), 500, 2_000));
      }
    }
  }
}

function readTokens(answer: unknown): z.infer<typeof TokenAnswer> {
  const parsed = TokenAnswer.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new SottoError("bad_answer", "Check the server's address: the answer holds no tokens", { cause: parsed.error });
}
