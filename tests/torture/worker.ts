/**
 * One process of the torture test: a node's log, and people who use it as a node would. It gets
 * its orders as JSON in its argument and prints one JSON line for every answer.
 *
 * - Senders belong to this process alone; they send bursts, and repeat in order what was not
 *   answered for good, so their order can be checked. Sometimes they repeat what was stored.
 * - Racers send the same messages in every process at once.
 * - Guests come and go; they send with the version that a look at the members gave, or with none.
 * - One keeper of the door adds and removes guests, and repeats what was cut off.
 */
import { createHash } from "node:crypto";
import { type AppendOutcome, type AppendRequest, openEventLog } from "../../src/conversations/event_log.ts";
import { changeMembership } from "../../src/conversations/membership_store.ts";
import { DatabaseFault, openDatabase } from "../../src/platform/postgres.ts";
import { type AccountId, type ConversationId, type MessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { membershipEvent, message } from "../integration/event_log_support.ts";
import type { Answer } from "./answers.ts";

/** What the driver tells a process. */
export interface Orders {
  readonly url: string;
  readonly process: number;
  readonly seconds: number;
  /** Milliseconds since the epoch, the same for all: the racers' ids begin here. */
  readonly base: number;
  readonly conversations: readonly ConversationId[];
  readonly owner: AccountId;
  readonly senders: readonly AccountId[];
  readonly racers: readonly AccountId[];
  readonly guests: readonly AccountId[];
}

const FINAL: ReadonlySet<AppendOutcome["status"]> = new Set([
  "stored",
  "known",
  "not_member",
  "conflict_body",
  "conflict_id",
  "id_out_of_window",
]);

const orders = JSON.parse(process.argv[2] ?? "{}") as Orders;
const db = openDatabase(orders.url, { poolSize: 4, queryTimeoutMs: 3_000 });
const log = openEventLog(db, { lanes: 2, limits: { deadlineMs: 1_500, batchEvents: 64 } });
const end = performance.now() + orders.seconds * 1_000;
const lines: string[] = [];

const going = () => performance.now() < end;
const chance = (likelihood: number) => Math.random() < likelihood;
const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)] as T;

function note(request: AppendRequest, outcome: AppendOutcome, order: number | null): void {
  const placed = "seq" in outcome ? { seq: outcome.seq, at: outcome.createdAt } : { seq: null, at: null };
  const answer: Answer = {
    ...{ process: orders.process, conversation: request.conversationId, sender: request.senderId, id: request.id },
    ...{ digest: Buffer.from(request.digest).toString("hex"), status: outcome.status, ...placed, order },
  };
  lines.push(JSON.stringify(answer));
}

/** Sends in order and repeats in order, also after the end, until everything is answered for good. */
async function sender(account: AccountId, conversation: ConversationId): Promise<void> {
  let waiting: { request: AppendRequest; order: number }[] = [];
  let next = 0;
  let done: AppendRequest | undefined;
  while (going() || waiting.length > 0) {
    for (let i = Math.ceil(Math.random() * 12); going() && i > 0; i--) {
      waiting.push({
        request: message(conversation, account, `${account} ${next}`, { counts: chance(0.8) }),
        order: next++,
      });
    }
    const answers = waiting.map(async (each) => {
      const twin = chance(0.1) ? log.append(each.request) : undefined;
      const outcome = await log.append(each.request);
      note(each.request, outcome, each.order);
      if (twin !== undefined) note(each.request, await twin, each.order);
      return { ...each, outcome };
    });
    if (done !== undefined && chance(0.3)) note(done, await log.append(done), null);
    const settled = await Promise.all(answers);
    done = settled.findLast(({ outcome }) => "seq" in outcome)?.request ?? done;
    waiting = settled.filter(({ outcome }) => !FINAL.has(outcome.status));
  }
}

/** Sends what every other process sends too; the answers must agree. */
async function racer(account: AccountId, conversation: ConversationId): Promise<void> {
  for (let n = 0; going(); n++) {
    const random = createHash("sha256").update(`${account} ${conversation} ${n}`).digest();
    const id = uuidv7(orders.base + n, random) as MessageId;
    const request = message(conversation, account, `race ${n}`, { id });
    let outcome: AppendOutcome;
    do {
      outcome = await log.append(request);
      note(request, outcome, null);
    } while (!FINAL.has(outcome.status));
  }
}

/** Sends whenever it is, or believes to be, a member. */
async function guest(account: AccountId, conversation: ConversationId): Promise<void> {
  for (let n = 0; going(); n++) {
    const version = chance(0.5) ? 0 : await lookAt(account, conversation);
    if (version === null) continue;
    const request = message(conversation, account, `guest ${n}`, { membersVersion: version });
    note(request, await log.append(request), null);
  }
}

/** The members' version, if the account is a member at this moment; 0: not known. */
async function lookAt(account: AccountId, conversation: ConversationId): Promise<number | null> {
  try {
    const [row] = await db.query<{ version: number }>(
      `select c.members_version as version from conversations c
       join members m on m.conversation = c.id and m.account = $2 and m.left_seq is null where c.id = $1`,
      [conversation, account],
    );
    return row?.version ?? null;
  } catch {
    return 0;
  }
}

/** Adds and removes guests; a change that is cut off is repeated until it is answered. */
async function doorkeeper(): Promise<void> {
  for (let n = 0; going(); n++) {
    const conversationId = pick(orders.conversations);
    const accountId = pick(orders.guests);
    const event = membershipEvent(`${orders.process} ${n}`);
    const actorId = chance(0.2) ? accountId : orders.owner;
    const change = chance(0.5) ? "add" : "remove";
    for (;;) {
      try {
        const outcome = await changeMembership(db, {
          ...{ conversationId, actorId, change, accountIds: [accountId], canSend: true, event, limit: 1_000 },
        });
        if (outcome.status === "busy") continue;
        if ("seq" in outcome)
          note({ ...message(conversationId, actorId, ""), ...event, kind: "membership" }, outcome, null);
        break;
      } catch (error) {
        if (!(error instanceof DatabaseFault)) throw error;
      }
    }
  }
}

await Promise.all([
  ...orders.senders.flatMap((account) => orders.conversations.map((conversation) => sender(account, conversation))),
  ...orders.racers.flatMap((account) =>
    orders.conversations.slice(0, 3).map((conversation) => racer(account, conversation)),
  ),
  ...orders.guests.map((account) => guest(account, pick(orders.conversations))),
  doorkeeper(),
]);
await log[Symbol.asyncDispose]();
await db[Symbol.asyncDispose]();
await Bun.write(Bun.stdout, lines.join("\n"));
