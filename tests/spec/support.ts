/** What the tests of the protocol share beside the server and the peers. */
import { createHmac } from "node:crypto";
import { SignJWT } from "jose";
import type { Database, Sql } from "../../src/platform/postgres.ts";
import type { ConversationId, MessageId } from "../../src/protocol/mod.ts";
import { type Person, TEST_SECRET, type TestApp } from "../support/app.ts";
import type { Frame, Peer } from "../support/peer.ts";

/** What starting or ending a server may take on a busy machine. */
export const STARTING_MS = 60_000;

/** The address of the socket. */
export function socketUrl(server: { readonly url: string }, path = "/ws"): string {
  return `${server.url.replace("http", "ws")}${path}`;
}

/** Two people and a conversation of their own. */
export async function pair(
  server: TestApp,
  more: object = {},
): Promise<{ ann: Person; ben: Person; id: ConversationId }> {
  const [ann, ben] = await Promise.all([server.person(), server.person()]);
  return { ann, ben, id: await ann.group([ben], more) };
}

/** A row of the log as it is stored. */
export interface StoredRow {
  readonly seq: number;
  readonly id: MessageId;
  readonly sender: string;
  readonly kind: number;
}

/** The log of a conversation, straight from the table. */
export function storedLog(sql: Sql, id: ConversationId): Promise<StoredRow[]> {
  return sql.query<StoredRow>("select seq, id, sender, kind from events where conversation = $1 order by seq", [id]);
}

/** How many events there are in all. */
export async function countEvents(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ count: number }>("select count(*)::int as count from events");
  return row?.count ?? -1;
}

/** Holds a conversation's head, so that nothing can be appended to it, until released. */
export async function holdHead(db: Database, id: ConversationId): Promise<{ release: () => Promise<void> }> {
  const gate = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = db.transaction(async (tx) => {
    await tx.query("select 1 from conversations where id = $1 for update", [id]);
    held.resolve();
    await gate.promise;
  });
  await held.promise;
  return {
    release: async () => {
      gate.resolve();
      await holding;
    },
  };
}

/** The seqs of the entries that a peer was shown. */
export function seqs(peer: Peer, id: ConversationId): number[] {
  return peer.entries(id).map((frame) => frame.seq);
}

/** The seqs that a socket was given: by entries, and by receipts that stand for their event [MSG-3]. */
export function placed(frames: readonly Frame[], id: ConversationId): number[] {
  return frames
    .filter((frame) => frame.conversation_id === id)
    .filter((frame) => ["message", "membership"].includes(frame.type) || frame.in_order === true)
    .map((frame) => frame.seq);
}

/** The numbers from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** Sends messages one after another without waiting between, and waits for every receipt. */
export async function sayMany(peer: Peer, id: ConversationId, count: number, text = "m"): Promise<MessageId[]> {
  const ids: MessageId[] = [];
  for (let done = 0; done < count; ) {
    const batch = Math.min(50, count - done);
    const sent = Array.from({ length: batch }, (_, i) => peer.post(id, `${text}${done + i}`));
    const waiting = new Set<string>(sent);
    while (waiting.size > 0) {
      const answer = await peer.match((frame) => frame.type === "receipt" || frame.type === "error");
      if (answer.type === "error") throw new Error(`Refused: ${JSON.stringify(answer)}`);
      waiting.delete(answer.id);
    }
    ids.push(...sent);
    done += batch;
  }
  return ids;
}

/** What {@link forgeToken} may be told; the rest is as the server writes it. */
export interface ForgeOptions {
  readonly algorithm?: string;
  readonly type?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly secret?: string;
  /** Seconds from now. */
  readonly lifetime?: number;
}

/** Signs an access token as the server does, except for what is asked otherwise. */
export function forgeToken(person: Person, options: ForgeOptions = {}): Promise<string> {
  const key = createHmac("sha256", options.secret ?? TEST_SECRET)
    .update("sotto access token")
    .digest();
  const now = Math.floor(Date.now() / 1_000);
  return new SignJWT({ sub: person.id, sid: person.sessionId, device: person.deviceId, jti: crypto.randomUUID() })
    .setProtectedHeader({ alg: options.algorithm ?? "HS256", typ: options.type ?? "at+jwt", kid: "1" })
    .setIssuer(options.issuer ?? "sotto")
    .setAudience(options.audience ?? "sotto")
    .setIssuedAt(now)
    .setExpirationTime(now + (options.lifetime ?? 600))
    .sign(key);
}
