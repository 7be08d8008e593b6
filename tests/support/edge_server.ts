/**
 * A server with accounts, keys and the HTTP edge on a real port and a real database, for tests of
 * these; its clock can be moved, and what it logs and whose sessions it ended can be looked at.
 */
import type { AnyElysia } from "elysia";
import { ACCOUNT_RATES, type AccountDeps, openAccounts, verifyAccessToken } from "../../src/accounts/mod.ts";
import { accountRoutes } from "../../src/accounts/routes.ts";
import {
  type Authenticate,
  addressOf,
  type BodyRule,
  createAccessTokens,
  createAuthentication,
  createRequestThrottle,
  createServer,
  healthRoutes,
  infoRoutes,
  metricsRoutes,
} from "../../src/http/mod.ts";
import { keyRoutes } from "../../src/keys/routes.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { createPasswordHasher } from "../../src/platform/password_hash.ts";
import type { Database } from "../../src/platform/postgres.ts";
import { MemoryRateLimiter } from "../../src/platform/rate_limit.ts";
import type { SessionId } from "../../src/protocol/mod.ts";
import { TEST_SECRET, testConfig } from "./app.ts";
import { type MovableClock, movableClock } from "./clock.ts";
import { createTestDatabase } from "./postgres.ts";

/** What {@link startEdge} may be told. */
export interface EdgeOptions {
  readonly signInsPerMinute?: number;
  readonly signUpsPerMinute?: number;
  readonly perMinute?: number;
  readonly burst?: number;
  readonly corsOrigins?: readonly string[];
  readonly baseUrl?: string;
  readonly trustedProxies?: readonly string[];
  readonly metricsToken?: string | null;
  readonly isDraining?: () => boolean;
  readonly bodyRules?: Readonly<Record<string, BodyRule>>;
  /** Further routes, as those of the compatible contracts. */
  readonly plugins?: (edge: EdgeContext) => AnyElysia[] | Promise<AnyElysia[]>;
}

/** What further routes are made from. */
export interface EdgeContext {
  readonly accounts: AccountDeps;
  readonly authenticate: Authenticate;
  readonly db: Database;
  readonly clock: Clock;
}

/** A running server. */
export interface Edge extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly db: Database;
  readonly accounts: AccountDeps;
  readonly clock: MovableClock;
  /** All that was logged so far, one JSON text a line. */
  readonly logged: () => string;
  /** The sessions whose sockets were to be closed, in order. */
  readonly ended: SessionId[];
  /** Sends a request; an object becomes a JSON body, `token` a bearer header. */
  request(method: string, path: string, send?: Send): Promise<Answer>;
}

/** What {@link Edge.request} sends. */
export interface Send {
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The fields that answers of the tested routes have; which of them are there is for the test to say. */
export interface AnswerJson {
  readonly error: { code: string; message: string; requestId: string; details?: Record<string, unknown> };
  readonly user: {
    id: string;
    username: string;
    email: string | null;
    display_name: string | null;
    public_key: string | null;
  };
  readonly id: string;
  readonly name: string;
  readonly username: string;
  readonly access_token: string;
  readonly refresh_token: string;
  readonly expires_in: number;
  readonly session_id: string;
  readonly device_id: string;
  readonly ticket: string;
  readonly public_key: string | null;
  readonly fingerprint: string;
  readonly version: number;
  readonly changed: boolean;
  readonly status: string;
  readonly timestamp: string;
  readonly expires_at: string;
  readonly next: string | null;
  readonly sessions: readonly {
    id: string;
    device_id: string;
    device_name: string | null;
    platform: string | null;
    created_at: string;
    last_seen: string;
    current: boolean;
  }[];
  readonly ended: number;
  readonly messages: readonly {
    id: string;
    sender_id: string;
    encrypted_data: string;
    timestamp: string;
    delivered: boolean;
  }[];
}

/** What {@link Edge.request} gives. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON, where it is; a test expects what it should hold. */
  readonly json: AnswerJson;
}

/** Starts a server with limits that no test meets by accident. */
export async function startEdge(options: EdgeOptions = {}): Promise<Edge> {
  const database = await createTestDatabase();
  const { db } = database;
  const clock = movableClock();
  const lines: string[] = [];
  const log = createLog({ level: "trace", pretty: false, write: (line) => void lines.push(line) });
  const limiter = new MemoryRateLimiter(clock);
  const accounts = await openAccounts({
    db,
    clock,
    passwords: createPasswordHasher({ algorithm: "argon2id", concurrency: 2, queue: 100 }),
    accessTokens: createAccessTokens(testConfig().signingKeys, clock),
    secretKey: TEST_SECRET,
    accessTokenMinutes: 30,
    refreshTokenDays: 7,
    limiter,
    rates: ratesFor(options),
  });
  const throttle = createRequestThrottle({
    limiter,
    rate: { perMinute: options.perMinute ?? 100_000, burst: options.burst ?? 10_000 },
  });
  const { admit, authenticate } = createAuthentication({
    verify: (token) => verifyAccessToken(accounts, token),
    throttle,
  });
  const ended: SessionId[] = [];
  const app = createServer({
    log,
    admit,
    corsOrigins: options.corsOrigins ?? [],
    baseUrl: options.baseUrl ?? "http://localhost",
    trustedProxies: options.trustedProxies ?? [],
    ...(options.bodyRules === undefined ? {} : { bodyRules: options.bodyRules }),
    plugins: [
      infoRoutes({ version: "test" }),
      healthRoutes({
        clock,
        probeDatabase: () => db.query("select 1"),
        busStatus: () => "in_process",
        isDraining: options.isDraining ?? (() => false),
      }),
      metricsRoutes({ text: async () => "sotto_test 1\n", token: options.metricsToken ?? null }),
      accountRoutes({ accounts, authenticate, addressOf, endSessions: (_, ids) => void ended.push(...ids) }),
      keyRoutes({ keys: { db, clock }, authenticate }),
      ...((await options.plugins?.({ accounts, authenticate, db, clock })) ?? []),
    ],
  });
  app.listen({ port: 0, hostname: "127.0.0.1", reusePort: false });
  const port = app.server?.port ?? 0;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    port,
    db,
    accounts,
    clock,
    logged: () => lines.join(""),
    ended,
    request: (method, path, send) => request(url, method, path, send),
    [Symbol.asyncDispose]: async () => {
      await app.stop(true);
      await database[Symbol.asyncDispose]();
    },
  };
}

async function request(url: string, method: string, path: string, send: Send = {}): Promise<Answer> {
  const headers: Record<string, string> = { ...send.headers };
  if (send.token !== undefined) headers["authorization"] = `Bearer ${send.token}`;
  const raw = typeof send.body === "string" || send.body instanceof Uint8Array;
  if (send.body !== undefined && headers["content-type"] === undefined) headers["content-type"] = "application/json";
  const body = send.body === undefined ? null : raw ? (send.body as string) : JSON.stringify(send.body);
  const answer = await fetch(url + path, { method, headers, body, redirect: "manual" });
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.startsWith("application/json") ?? false;
  return { status: answer.status, headers: answer.headers, text, json: isJson && text !== "" ? JSON.parse(text) : {} };
}

/** Buckets of the sizes that a test names, refilled so slowly that its own time does not matter; none elsewhere. */
function ratesFor({ signInsPerMinute: signIns = 10_000, signUpsPerMinute: signUps = 10_000 }: EdgeOptions) {
  const none = { perMinute: 100_000, burst: 100_000 };
  return {
    ...Object.fromEntries(Object.keys(ACCOUNT_RATES).map((name) => [name, none])),
    sign_in_name_address: { perMinute: 1, burst: signIns },
    sign_in_address: { perMinute: 1, burst: signIns * 3 },
    sign_up_address: { perMinute: 1, burst: signUps },
  };
}

let people = 0;

/** Signs up somebody with a name of their own. */
export async function signUpSomebody(edge: Edge, fields: Readonly<Record<string, unknown>> = {}) {
  people++;
  const username = `person-${people}`;
  const password = `good pass phrase ${people * 7919}`;
  const answer = await edge.request("POST", "/api/auth/signup", { body: { username, password, ...fields } });
  if (answer.status !== 201) throw new Error(`Sign-up answered ${answer.status}: ${answer.text}`);
  return { ...answer.json, username, password };
}
