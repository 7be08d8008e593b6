/** A whole server on a real port and a real database, in this process, and people who use it. */
import { ACCOUNT_RATES, type AccountRates } from "../../src/accounts/mod.ts";
import { type App, type AppOptions, createApp } from "../../src/app.ts";
import { type Config, parseConfig } from "../../src/config.ts";
import { createLog } from "../../src/platform/log.ts";
import { createPasswordHasher } from "../../src/platform/password_hash.ts";
import type { Database } from "../../src/platform/postgres.ts";
import type { AccountId, ConversationId, DeviceId, SessionId } from "../../src/protocol/mod.ts";
import { Peer } from "./peer.ts";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";

/** The secret of every test server, so that a test can sign tokens of its own. */
export const TEST_SECRET = "a secret of at least thirty-two characters";

/** What test servers encrypt with at rest. */
export const TEST_ENCRYPTION_KEYS = `k1:${"ab".repeat(32)}`;

/** Rates that no test meets by accident. */
export const NO_RATES: AccountRates = Object.fromEntries(
  Object.keys(ACCOUNT_RATES).map((name) => [name, { perMinute: 100_000, burst: 100_000 }]),
);

/**
 * Argon2id at a fortieth of the cost: most tests sign people up only to have them. Those in which people sign in
 * while something else happens, or many at once, or whose subject is how long it takes, say `slowPasswords`.
 */
const QUICK_ARGON2 = { memoryKiB: 1_024, passes: 1 };

/** A running server with its database. */
export interface TestApp extends AsyncDisposable {
  readonly app: App;
  readonly url: string;
  readonly database: TestDatabase;
  readonly db: Database;
  /** All that was logged so far, one JSON text a line. */
  readonly logged: () => string;
  /** Starts a further node on the same database. */
  another(options?: TestAppOptions): Promise<TestApp>;
  /** Signs somebody up. */
  person(name?: string): Promise<Person>;
}

/** What {@link startApp} may be told; `env` overrides variables. */
export interface TestAppOptions extends Partial<Omit<AppOptions, "databaseUrl">> {
  readonly env?: Readonly<Record<string, string>>;
  /** Passwords cost what they cost outside of tests; further nodes are as the first. */
  readonly slowPasswords?: boolean;
}

/** Starts a server with limits that no test meets by accident. */
export async function startApp(options: TestAppOptions = {}): Promise<TestApp> {
  const database = await createTestDatabase();
  return startOn(database, options, true);
}

/** The configuration of test servers. */
export function testConfig(env: Readonly<Record<string, string>> = {}): Config {
  return parseConfig(
    {
      PORT: "0",
      SECRET_KEY: TEST_SECRET,
      ENCRYPTION_KEYS: TEST_ENCRYPTION_KEYS,
      RATE_LIMIT_PER_MINUTE: "100000",
      RATE_LIMIT_BURST: "10000",
      LOG_LEVEL: "debug",
      ...env,
    },
    { dataDir: "/nonexistent", secretKey: "", encryptionKey: "" },
  );
}

async function startOn(database: TestDatabase, options: TestAppOptions, owned: boolean): Promise<TestApp> {
  const { env, slowPasswords = false, ...appOptions } = options;
  const lines: string[] = [];
  const log = createLog({ level: "debug", pretty: false, write: (line) => void lines.push(line) });
  const app = await createApp(testConfig(env), {
    databaseUrl: database.url,
    log,
    rates: NO_RATES,
    ...(slowPasswords ? {} : { passwords: quickPasswords() }),
    ...appOptions,
  });
  let people = 0;
  return {
    app,
    url: app.url,
    database,
    db: database.db,
    logged: () => lines.join(""),
    another: (others = {}) => startOn(database, { slowPasswords, ...others }, false),
    person: (name) => Person.signUp(app.url, name ?? `person${++people}_${crypto.randomUUID().slice(0, 8)}`),
    [Symbol.asyncDispose]: async () => {
      await app[Symbol.asyncDispose]();
      if (owned) await database[Symbol.asyncDispose]();
    },
  };
}

function quickPasswords() {
  return createPasswordHasher({ algorithm: "argon2id", concurrency: 2, queue: 200, argon2: QUICK_ARGON2 });
}

/** What an HTTP answer was. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test expects what the body should hold.
  readonly json: any;
}

/** Sends one HTTP request; an object becomes a JSON body. */
export async function request(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  token?: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...headers,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: text === "" ? null : JSON.parse(text) };
}

const PASSWORD = "correct horse battery staple";

/** Somebody who is signed in. */
export class Person {
  readonly url: string;
  readonly name: string;
  readonly id: AccountId;
  readonly sessionId: SessionId;
  readonly deviceId: DeviceId;
  token: string;
  readonly refreshToken: string;

  private constructor(url: string, name: string, answer: HttpAnswer["json"], id: AccountId) {
    this.url = url;
    this.name = name;
    this.id = id;
    this.sessionId = answer.session_id;
    this.deviceId = answer.device_id;
    this.token = answer.access_token;
    this.refreshToken = answer.refresh_token;
  }

  /** Signs up under a name, from an address of their own where the server believes what it is told of it. */
  static async signUp(url: string, name: string): Promise<Person> {
    const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint8Array(3));
    const from = { "x-forwarded-for": `10.${a}.${b}.${c}` };
    const body = { username: name, password: PASSWORD };
    const answer = await request(url, "POST", "/api/auth/signup", body, undefined, from);
    if (answer.status !== 201) throw new Error(`Sign up: ${answer.status} ${JSON.stringify(answer.json)}`);
    return new Person(url, name, answer.json, answer.json.user.id);
  }

  /** Signs the same person in again: on a new device, or on one it names; at another node where `url` says so. */
  async signIn(options: { readonly deviceId?: DeviceId; readonly url?: string } = {}): Promise<Person> {
    const url = options.url ?? this.url;
    const answer = await request(url, "POST", "/api/auth/signin", {
      username: this.name,
      password: PASSWORD,
      ...(options.deviceId === undefined ? {} : { device_id: options.deviceId }),
    });
    if (answer.status !== 200) throw new Error(`Sign in: ${answer.status} ${JSON.stringify(answer.json)}`);
    return new Person(url, this.name, answer.json, this.id);
  }

  /** The same session at another node. */
  at(url: string): Person {
    return Object.assign(Object.create(Person.prototype), this, { url }) as Person;
  }

  /** Sends an HTTP request in this person's name. */
  request(method: string, path: string, body?: unknown): Promise<HttpAnswer> {
    return request(this.url, method, path, body, this.token);
  }

  /** Opens a socket by header; `live` waits until it has caught up. */
  connect(): Promise<Peer> {
    return Peer.open(`${this.url.replace("http", "ws")}/ws`, { authorization: `Bearer ${this.token}` });
  }

  /** Opens a socket and waits for `caught_up`. */
  async live(): Promise<Peer> {
    const peer = await this.connect();
    await peer.next("caught_up");
    return peer;
  }

  /** Creates a dm with somebody, `opaque` unless told otherwise. */
  async dm(other: Person, more: object = {}): Promise<ConversationId> {
    return this.#create({ conversation_type: "dm", participant_ids: [other.id], ...more });
  }

  /** Creates a group with others. */
  async group(others: readonly Person[], more: object = {}): Promise<ConversationId> {
    return this.#create({
      conversation_type: "group",
      name: "A group",
      participant_ids: others.map((o) => o.id),
      ...more,
    });
  }

  async #create(body: object): Promise<ConversationId> {
    const answer = await this.request("POST", "/api/conversations", body);
    if (answer.status > 201) throw new Error(`Create: ${answer.status} ${JSON.stringify(answer.json)}`);
    return answer.json.id;
  }
}
