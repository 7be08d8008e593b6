/** How long it takes until every device has what was stored by a moment, as the database says. */
import type { Sql } from "../../src/platform/postgres.ts";
import type { AccountId, ConversationId } from "../../src/protocol/mod.ts";
import type { Device } from "./device.ts";
import type { Traffic } from "./traffic.ts";

/** What an account is owed of a conversation. */
interface Owed {
  readonly conversation: ConversationId;
  readonly account: AccountId;
  readonly seq: number;
}

const STEP_MS = 20;

/** Waits until every device has what is stored now; gives how long it took (ms), or in words what is missing. */
export async function catchUp(traffic: Traffic, sql: Sql, deadlineMs: number): Promise<number | string> {
  const from = performance.now();
  const owed = await allOwed(sql, from + deadlineMs);
  let missing = devicesBehind(traffic, owed);
  while (missing.length > 0) {
    if (performance.now() - from > deadlineMs) return inWords(missing);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    missing = missing.filter(([device, due]) => isBehind(traffic, device, due));
  }
  return performance.now() - from;
}

/**
 * Every account that is in a conversation now, and the number of the last entry of that log that it is given. The
 * place of one that is withheld comes with the next.
 */
async function allOwed(sql: Sql, deadline: number): Promise<Owed[]> {
  for (;;) {
    try {
      return await sql.query<Owed>(
        `select c.id as conversation, m.account, coalesce(
           (select max(e.seq) from events e where e.conversation = c.id and h.seqs is not null
              and (e.kind in (1, 4, 5, 6) and e.sender <> m.account and h.seqs @> e.seq) is not true),
           c.last_seq) as seq
         from conversations c join members m on m.conversation = c.id and m.left_seq is null
         cross join lateral (select withheld_seqs(c.id, m.account) as seqs) h`,
      );
    } catch (error) {
      if (performance.now() > deadline) throw error; // the connection may have been a victim of the fault
    }
  }
}

function devicesBehind(traffic: Traffic, owed: readonly Owed[]): [Device, Owed][] {
  return traffic.devices.flatMap((device) =>
    owed
      .filter((due) => due.account === device.account.id && isBehind(traffic, device, due))
      .map((due): [Device, Owed] => [device, due]),
  );
}

function isBehind(traffic: Traffic, device: Device, { conversation, account, seq }: Owed): boolean {
  const membership = traffic.members.of(conversation, account);
  // Who has left since is owed what came before that.
  const last = membership?.inside === false ? Math.min(seq, membership.seq - 1) : seq;
  return (device.cursors.get(conversation) ?? 0) < last;
}

function inWords(missing: readonly [Device, Owed][]): string {
  const [[device, due] = []] = missing;
  const has = device?.cursors.get(due?.conversation as ConversationId) ?? 0;
  const where = device?.node ?? "no node";
  return `${missing.length} logs are behind; device ${device?.id} at ${where} has ${due?.conversation} up to ${has} of ${due?.seq}`;
}
