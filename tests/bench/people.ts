/**
 * People for the load: accounts, devices, sessions and dms, written by SQL, because a thousand
 * passwords would take longer to hash than the whole run. Their tokens are made with the server's own
 * secret and go the whole way through authentication.
 */
import { insertConversation } from "../../src/conversations/membership_store.ts";
import { createAccessTokens } from "../../src/http/mod.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createPasswordHasher } from "../../src/platform/password_hash.ts";
import type { Database } from "../../src/platform/postgres.ts";
import { deriveKey } from "../../src/platform/secrets.ts";
import {
  type AccountId,
  type ConversationId,
  type DeviceId,
  type MessageId,
  type SessionId,
  uuidv7,
} from "../../src/protocol/mod.ts";
import type { SeatPlan } from "./seat.ts";

/** Somebody with a session. */
export interface Person {
  readonly id: AccountId;
  readonly deviceId: DeviceId;
  readonly sessionId: SessionId;
  readonly token: string;
  readonly name: string;
}

/** Two people and their dm. */
export interface Pair {
  readonly people: readonly [Person, Person];
  readonly conversationId: ConversationId;
}

/** The password of everybody. */
export const PASSWORD = "correct horse battery staple";

const HOUR_MS = 3_600_000;
/** As many as a pool has connections for; thousands would wait longer than a query may. */
const DMS_AT_ONCE = 8;

/** Makes people. */
export async function createPeople(db: Database, secret: string, count: number): Promise<Person[]> {
  const hasher = createPasswordHasher({ algorithm: "argon2id", concurrency: 1, queue: 1 });
  const hash = await hasher.hashPassword(PASSWORD);
  const ids = Array.from({ length: count }, () => [uuidv7(), uuidv7(), uuidv7()] as const);
  const [accounts, devices, sessions] = [0, 1, 2].map((column) => ids.map((row) => row[column]));
  await db.query(
    `with a as (
       insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
       select id, 'bench_' || id, 'bench_' || id, $4, now(), now() from unnest($1::uuid[]) id),
     d as (
       insert into devices (id, account, created_at)
       select device, account, now() from unnest($1::uuid[], $2::uuid[]) t(account, device))
     insert into sessions (id, account, device, generation, refresh_hash, created_at, rotated_at, expires_at, expires_latest)
     select session, account, device, 0, '', now(), now(), now() + interval '1 day', now() + interval '1 day'
     from unnest($1::uuid[], $2::uuid[], $3::uuid[]) t(account, device, session)`,
    [accounts, devices, sessions, hash],
  );
  const tokens = createAccessTokens(
    [{ id: "1", algorithm: "HS256", key: deriveKey(secret, "sotto access token") }],
    systemClock,
  );
  return Promise.all(
    ids.map(async ([account, device, session]) => {
      const person = { id: account as AccountId, deviceId: device as DeviceId, sessionId: session as SessionId };
      const { id: accountId, deviceId, sessionId } = person;
      const token = await tokens.sign({ accountId, deviceId, sessionId, expiresAt: Date.now() + HOUR_MS });
      return { ...person, token, name: `bench_${account}` };
    }),
  );
}

/** Makes pairs of people with an `opaque` dm each. */
export async function createPairs(db: Database, secret: string, count: number): Promise<Pair[]> {
  const people = await createPeople(db, secret, count * 2);
  const pairs: Pair[] = [];
  const making = Array.from({ length: DMS_AT_ONCE }, async (_, worker) => {
    for (let i = worker; i < count; i += DMS_AT_ONCE) {
      const [one, other] = [people[i * 2], people[i * 2 + 1]];
      if (one === undefined || other === undefined) throw new Error("Make two people a pair");
      pairs.push({ people: [one, other], conversationId: await createDm(db, one, other) });
    }
  });
  await Promise.all(making);
  return pairs;
}

/** Stores a dm of two people, with its first event. */
export async function createDm(db: Database, one: Person, other: Person): Promise<ConversationId> {
  const body = new TextEncoder().encode(JSON.stringify({ change: "created", user_ids: [one.id, other.id] }));
  const outcome = await insertConversation(db, {
    ...{ id: uuidv7() as ConversationId, type: "dm", encryption: "opaque", name: null },
    ...{ creatorId: one.id, otherIds: [other.id], retentionSeconds: null, dmKey: null, dataKey: null },
    event: { id: uuidv7() as MessageId, body, digest: new Uint8Array(16) },
  });
  if (outcome.status !== "stored") throw new Error(`Store the dm: current value is ${outcome.status}`);
  return outcome.id;
}

/** Stores an `opaque` group of some people, the first of whom made it, with its first event. */
export async function createGroup(db: Database, members: readonly Person[]): Promise<ConversationId> {
  const [creator, ...others] = members;
  if (creator === undefined) throw new Error("Make people before their group");
  const outcome = await insertConversation(db, {
    ...{ id: uuidv7() as ConversationId, type: "group", encryption: "opaque", name: "a group" },
    ...{ creatorId: creator.id, otherIds: others.map(({ id }) => id) },
    ...{ retentionSeconds: null, dmKey: null, dataKey: null },
    event: {
      id: uuidv7() as MessageId,
      body: new TextEncoder().encode(JSON.stringify({ change: "created", user_ids: [] })),
      digest: new Uint8Array(16),
    },
  });
  if (outcome.status !== "stored") throw new Error(`Store the group: current value is ${outcome.status}`);
  return outcome.id;
}

/** The seats of pairs, the two of a pair beside each other. */
export function seatsOf(pairs: readonly Pair[]): SeatPlan[] {
  return pairs.flatMap(({ people, conversationId }) => people.map(({ token }) => ({ token, conversationId })));
}
