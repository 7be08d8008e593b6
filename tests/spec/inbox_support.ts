/** What the tests of inboxes share: handing something over, and what a device was given. */
import type { Sql } from "../../src/platform/postgres.ts";
import { type DeviceId, newMessageId } from "../../src/protocol/mod.ts";
import type { Person } from "../support/app.ts";
import type { Frame, Peer } from "../support/peer.ts";

/** Text as the payload of a key exchange. */
export const payloadOf = (text: string): string => Buffer.from(text).toString("base64");

/** Hands something over and gives the answer: `key_exchange_stored` or `error`. */
export async function hand(from: Peer, to: Person | { readonly id: string }, more: object = {}): Promise<Frame> {
  const frame = { type: "key_exchange", id: newMessageId(), to_user_id: to.id, payload: payloadOf("key"), ...more };
  const ref = crypto.randomUUID();
  from.send({ ...frame, ref });
  await from.until((frames) => frames.some((one) => one.ref === ref));
  return from.frames.find((one) => one.ref === ref);
}

/** What a socket was given of its device's inbox. */
export const given = (peer: Peer): Frame[] => peer.frames.filter(({ type }) => type === "key_exchange");

/** The payloads of that, as text. */
export const texts = (peer: Peer): string[] =>
  given(peer).map(({ payload }) => Buffer.from(payload, "base64").toString());

/** Waits until a socket was given so many, and gives their payloads as text. */
export async function textsOnce(peer: Peer, count: number): Promise<string[]> {
  await peer.until(() => given(peer).length >= count);
  return texts(peer);
}

/** The code of a refusal, else the type of the answer. */
export const outcomeOf = (answer: Frame): string => answer.code ?? answer.type;

/** Fills an inbox by hand with what somebody else has sent: `count` entries, each of `size` bytes. */
export async function fill(
  sql: Sql,
  of: { readonly reader: Person; readonly sender: Person; readonly count: number; readonly size?: number },
): Promise<void> {
  const { reader, sender, count, size = 1 } = of;
  await sql.query(
    `insert into device_inboxes as h (device, last_seq) values ($1, $2)
     on conflict (device) do update set last_seq = h.last_seq + $2`,
    [reader.deviceId, count],
  );
  await sql.query(
    `insert into device_inbox
       (account, device, sender, id, sender_session, kind, seq, digest, size, body, at, expires_at)
     select $1, $2, $3, gen_random_uuid(), $4, 1, h.last_seq - $5 + n, '\\x00', $6, decode(repeat('41', $6), 'hex'), now(),
            now() + interval '30 days'
     from device_inboxes h, generate_series(1, $5::int) n where h.device = $2`,
    [reader.id, reader.deviceId, sender.id, sender.sessionId, count, size],
  );
}

/** An entry as it is stored. */
export interface StoredEntry {
  readonly seq: number | null;
  readonly size: number;
  readonly held: boolean;
  /** Whether every byte that is kept is zero. */
  readonly blank: boolean;
}

/** What is stored for a device, in the order in which it came. */
export function storedFor(sql: Sql, device: DeviceId): Promise<StoredEntry[]> {
  return sql.query<StoredEntry>(
    `select seq, size, body is not null as held, coalesce(body = decode(repeat('00', size), 'hex'), false) as blank
     from device_inbox where device = $1 order by at, id`,
    [device],
  );
}
