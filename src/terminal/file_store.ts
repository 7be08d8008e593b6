/**
 * A {@link ClientStore} in one file: cursors, accepted keys, what was typed and is not sent, and entries that
 * were not shown yet. What was shown is read from the server again.
 *
 * - Every change is the whole file, written anew and renamed over the old one; changes that come while one
 *   is written go together into the next.
 * - A draft is what the person typed, kept from Enter until the server has the message. The commit that
 *   takes its message into the outbox marks it as handed over, and the one that settles the message drops
 *   it: whenever the process ends, it is sent once.
 */
import { z } from "zod";
import {
  type ClientStore,
  type OutgoingMessage,
  repetitionKeyOf,
  type StoreChange,
  type StoredEntry,
  type StoredState,
} from "../client/mod.ts";
import { AccountId, ConversationId, MessageId } from "../protocol/mod.ts";
import { readIfThere, writeSecretly } from "./profile.ts";

/** What was typed and is not stored by the server. It is not encrypted. */
export const Draft = z.object({
  /** The id that its message has, made when Enter was pressed. */
  id: MessageId,
  conversationId: ConversationId,
  text: z.string(),
  /** Whether the outbox has the message: it sends it by itself. */
  handedOver: z.boolean(),
});
/** See {@link Draft}. */
export type Draft = z.infer<typeof Draft>;

const Outgoing = z.object({
  id: MessageId,
  conversationId: ConversationId,
  frame: z.string(),
  order: z.number(),
  idBound: z.boolean(),
});

const Content = z.object({
  cursors: z.array(z.tuple([ConversationId, z.number()])),
  outgoing: z.array(Outgoing),
  drafts: z.array(Draft),
  handled: z.number(),
  /** Missing in files of earlier versions. */
  hidden: z.number().default(0),
  place: z.number(),
  entries: z.array(z.object({ place: z.number(), entry: z.unknown() })),
  seen: z.array(z.string()),
  trusted: z.array(z.tuple([AccountId, z.array(z.string())])),
});

/** Under this id stands what is said in the public room, which is no conversation of the SDK's. */
export const ROOM_DRAFTS = ConversationId.parse("00000000-0000-8000-8000-000000000000");

/** Ids of messages and edits that are kept to recognise repetitions: those that came last. */
const MOST_SEEN = 500;

/** See the head of this file. */
export class FileStore implements ClientStore {
  readonly #path: string;
  readonly #cursors: Map<ConversationId, number>;
  readonly #outgoing: Map<MessageId, OutgoingMessage>;
  readonly #drafts: Map<MessageId, Draft>;
  /** Ids of drafts that are in the file. */
  readonly #kept: Set<MessageId>;
  readonly #trusted: Map<AccountId, readonly string[]>;
  #seen: Set<string>;
  #entries: StoredEntry[];
  #handled: number;
  #hidden: number;
  #place: number;
  #writing: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;

  /** Reads the file, or begins empty where there is none. */
  static async open(path: string): Promise<FileStore> {
    const text = await readIfThere(path);
    const empty = { cursors: [], outgoing: [], drafts: [], handled: 0, place: 0, entries: [], seen: [], trusted: [] };
    return new FileStore(path, Content.parse(text === null ? empty : JSON.parse(text)));
  }

  private constructor(path: string, content: z.infer<typeof Content>) {
    this.#path = path;
    this.#cursors = new Map(content.cursors);
    this.#outgoing = new Map(content.outgoing.map((message) => [message.id, message]));
    this.#drafts = new Map(content.drafts.map((draft) => [draft.id, draft]));
    this.#kept = new Set(this.#drafts.keys());
    this.#trusted = new Map(content.trusted);
    this.#seen = new Set(content.seen);
    this.#entries = content.entries as StoredEntry[];
    this.#handled = content.handled;
    this.#hidden = content.hidden;
    this.#place = content.place;
  }

  /**
   * What was typed and is not stored by the server, in the order in which it was typed. Only what is in the
   * file: what is shown as waiting must survive a crash.
   */
  get drafts(): readonly Draft[] {
    return [...this.#drafts.values()].filter(({ id }) => this.#kept.has(id));
  }

  /** Keeps what was typed; resolves once it would survive a crash. */
  async keepDraft(draft: Draft): Promise<void> {
    this.#drafts.set(draft.id, draft);
    await this.#save();
    this.#kept.add(draft.id);
  }

  /** Forgets what was typed: it will not be sent. */
  async dropDraft(id: MessageId): Promise<void> {
    this.#kept.delete(id);
    if (this.#drafts.delete(id)) await this.#save();
  }

  load(): Promise<StoredState> {
    const outgoing = [...this.#outgoing.values()].sort((a, b) => a.order - b.order);
    return Promise.resolve({ cursors: new Map(this.#cursors), outgoing, handled: this.#handled, hidden: this.#hidden });
  }

  async commit(change: StoreChange): Promise<void> {
    for (const entry of change.entries ?? []) this.#add(entry);
    for (const [conversationId, seq] of change.cursors ?? []) this.#cursors.set(conversationId, seq);
    for (const id of change.settled ?? []) {
      this.#outgoing.delete(id);
      this.#drafts.delete(id);
      this.#kept.delete(id);
    }
    for (const message of change.outgoing ?? []) this.#takeOver(message);
    if (change.handled !== undefined) this.#handle(change.handled);
    if (change.hidden !== undefined) this.#hidden = change.hidden;
    if (change.trusted !== undefined) this.#trust(change.trusted);
    await this.#save();
  }

  entries(after: number, limit: number): Promise<readonly StoredEntry[]> {
    return Promise.resolve(this.#entries.filter(({ place }) => place > after).slice(0, limit));
  }

  trustedKeys(accountId: AccountId): Promise<readonly string[]> {
    return Promise.resolve(this.#trusted.get(accountId) ?? []);
  }

  #add(entry: StoredEntry["entry"]): void {
    const key = repetitionKeyOf(entry);
    if (key !== null) {
      if (this.#seen.has(key)) return;
      this.#seen.add(key);
      if (this.#seen.size > MOST_SEEN * 1.25) this.#seen = new Set([...this.#seen].slice(-MOST_SEEN));
    }
    this.#entries.push({ place: ++this.#place, entry });
  }

  #takeOver(message: OutgoingMessage): void {
    this.#outgoing.set(message.id, message);
    const draft = this.#drafts.get(message.id);
    if (draft !== undefined) this.#drafts.set(message.id, { ...draft, handedOver: true });
  }

  /** What was shown is of no more use here. */
  #handle(place: number): void {
    this.#handled = place;
    this.#entries = this.#entries.filter((entry) => entry.place > place);
  }

  #trust({ accountId, publicKey }: NonNullable<StoreChange["trusted"]>): void {
    const others = (this.#trusted.get(accountId) ?? []).filter((known) => known !== publicKey);
    this.#trusted.set(accountId, [...others, publicKey]);
  }

  /** Resolves once a file that holds the present state is written. */
  #save(): Promise<void> {
    this.#queued ??= this.#writing.then(() => {
      this.#queued = undefined;
      this.#writing = writeSecretly(this.#path, this.#text());
      return this.#writing;
    });
    return this.#queued;
  }

  #text(): string {
    const content: z.input<typeof Content> = {
      cursors: [...this.#cursors],
      outgoing: [...this.#outgoing.values()],
      drafts: [...this.#drafts.values()],
      handled: this.#handled,
      hidden: this.#hidden,
      place: this.#place,
      entries: this.#entries,
      seen: [...this.#seen],
      trusted: [...this.#trusted].map(([id, keys]) => [id, [...keys]]),
    };
    return JSON.stringify(content);
  }
}
