/**
 * The promises behind the receipts, kept through kill -9: a real server process with its own data,
 * senders that repeat what was not answered under the same ids, and in the end a look into the log.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, type MessageId, newMessageId } from "../../src/protocol/mod.ts";
import { Person } from "../support/app.ts";
import type { Peer } from "../support/peer.ts";
import { ServerProcess } from "../support/server_process.ts";
import { waitUntil } from "../support/wait.ts";
import { range, seqs } from "./support.ts";

const SENDERS = 4;
const MESSAGES = 240;
const WINDOW = 30;
const KILLS = 3;
const LIMIT_MS = 180_000;

let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.start();
}, LIMIT_MS);
afterAll(() => server[Symbol.asyncDispose](), LIMIT_MS);

/** Sends its messages in order, and after every end of the socket again from the first that was not answered. */
class Sender {
  readonly person: Person;
  readonly conversationId: ConversationId;
  readonly ids: readonly MessageId[];
  /** The seqs of receipts, by id. */
  readonly acknowledged = new Map<MessageId, number>();
  /** Receipts that gave an id another seq than before. */
  readonly contradictions: string[] = [];
  readonly #onReceipt: () => void;

  constructor(person: Person, conversationId: ConversationId, onReceipt: () => void) {
    this.person = person;
    this.#onReceipt = onReceipt;
    this.conversationId = conversationId;
    this.ids = Array.from({ length: MESSAGES }, () => newMessageId());
  }

  get done(): boolean {
    return this.acknowledged.size === this.ids.length;
  }

  async run(): Promise<void> {
    while (!this.done) {
      // Refused while the server is down; the next attempt finds it again.
      const peer = await this.person
        .at(server.url)
        .connect()
        .catch(() => null);
      if (peer !== null) await this.#sendThrough(peer).catch(() => {});
      else
        await waitUntil(
          "the server answers",
          () =>
            fetch(`${server.url}/health`).then(
              () => true,
              () => false,
            ),
          LIMIT_MS,
        );
    }
  }

  /** Ends with a rejection when the socket does. */
  async #sendThrough(peer: Peer): Promise<void> {
    using _ = peer;
    await peer.next("welcome");
    const waiting = new Set<MessageId>();
    let next = this.ids.findIndex((id) => !this.acknowledged.has(id));
    while (!this.done) {
      for (; waiting.size < WINDOW && next < this.ids.length; next++) {
        const id = this.ids[next] as MessageId;
        peer.post(this.conversationId, `from ${this.person.name}, number ${next}`, { id });
        waiting.add(id);
      }
      const answer = await peer.match((frame) => frame.type === "receipt" || frame.type === "error");
      if (answer.type === "error") return; // begin again from the first that was not answered
      const before = this.acknowledged.get(answer.id);
      if (before !== undefined && before !== answer.seq)
        this.contradictions.push(`${answer.id}: ${before}, then ${answer.seq}`);
      this.acknowledged.set(answer.id, answer.seq);
      waiting.delete(answer.id);
      this.#onReceipt();
    }
  }
}

interface Entry {
  readonly type: string;
  readonly seq: number;
  readonly id: MessageId;
  readonly sender_id: string;
}

async function wholeLog(person: Person, id: ConversationId): Promise<Entry[]> {
  const log: Entry[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const page = await person.request("GET", `/api/conversations/${id}/messages?after_seq=${after}&limit=100`);
    expect(page.status).toBe(200);
    log.push(...page.json.messages);
    after = page.json.next;
  }
  return log;
}

describe("kill -9 under load", () => {
  test(
    "every acknowledged send is in the log with its seq, once, dense, in its sender's order [MSG-1, MSG-2, MSG-4, RES-1]",
    async () => {
      const people: Person[] = [];
      for (let i = 0; i < SENDERS; i++) people.push(await Person.signUp(server.url, `crash_sender_${i}`));
      const [first] = people as [Person];
      const id = await first.group(people.slice(1));
      let onReceipt = () => {};
      const senders = people.map((person) => new Sender(person, id, () => onReceipt()));
      const total = SENDERS * MESSAGES;
      const answered = () => senders.reduce((sum, sender) => sum + sender.acknowledged.size, 0);
      const sending = Promise.all(senders.map((sender) => sender.run()));

      for (let kill = 1; kill <= KILLS; kill++) {
        // In the very moment: a look now and then might come when all is over.
        const middle = Promise.withResolvers<void>();
        onReceipt = () => answered() >= (total * kill) / (KILLS + 1) && middle.resolve();
        await middle.promise;
        expect(answered()).toBeLessThan(total);
        await server.signal("SIGKILL");
        await server.startAgain();
      }
      await sending;

      const reader = first.at(server.url);
      const log = await wholeLog(reader, id);
      expect(log.map((entry) => entry.seq)).toEqual(range(1, total + 1));
      for (const sender of senders) {
        expect(sender.contradictions).toEqual([]);
        const own = log.filter((entry) => entry.type === "message" && entry.sender_id === sender.person.id);
        expect(own.map((entry) => entry.id)).toEqual([...sender.ids]);
        expect(own.map((entry) => entry.seq)).toEqual(sender.ids.map((one) => sender.acknowledged.get(one) ?? -1));
      }

      // A device that had acknowledged nothing is sent the whole log, in order.
      using peer = await reader.connect();
      for (let seen = 0; seen < total + 1; ) {
        await peer.until(() => seqs(peer, id).length > seen);
        seen = seqs(peer, id).length;
        peer.acknowledge(id, seqs(peer, id).at(-1) ?? 0);
      }
      expect(seqs(peer, id)).toEqual(range(1, total + 1));
    },
    LIMIT_MS,
  );
});
