/**
 * What was typed, on its way into the SDK. Each conversation is a lane: one message is given to the SDK at a
 * time, so that one which could not be encrypted without a connection keeps its place before the next.
 */
import { type SottoClient, SottoError } from "../client/mod.ts";
import { type ConversationId, type MessageId, newMessageId } from "../protocol/mod.ts";
import { type Draft, type FileStore, ROOM_DRAFTS } from "./file_store.ts";

/** What will not be sent, and why. */
export interface FailedDraft {
  readonly draft: Draft;
  readonly error: SottoError;
}

/** What was typed, as it is shown. */
export interface ShownDraft {
  readonly id: MessageId;
  readonly text: string;
  /** On its way into the file; waiting for the server; stored, so that its log shows it in a moment. */
  readonly state: "keeping" | "waiting" | "stored";
}

interface Item {
  readonly draft: Draft;
  /** The id in the log: another one where the first had grown too old. */
  finalId: MessageId;
  /** Whether it would survive a crash. */
  isKept: boolean;
  /** When it was noticed that the store has dropped it. */
  droppedAt: number | null;
}

/** A stored message stays on the screen this long without its entry in the log; milliseconds. */
const LINGER_MS = 5_000;
const AGAIN_MS = 1_000;
const MOST_FAILED = 50;

/** Sends what was typed, also what was typed before the last end of the program. */
export class Drafts {
  readonly #client: SottoClient;
  readonly #store: FileStore;
  readonly #changed: () => void;
  readonly #lanes = new Map<ConversationId, Promise<void>>();
  #items: Item[] = [];
  #failed: FailedDraft[] = [];

  constructor(client: SottoClient, store: FileStore, changed: () => void) {
    this.#client = client;
    this.#store = store;
    this.#changed = changed;
    for (const draft of store.drafts) {
      if (draft.conversationId === ROOM_DRAFTS) continue; // said when the room is entered again
      this.#items.push({ draft, finalId: draft.id, isKept: true, droppedAt: null });
      if (!draft.handedOver) this.#enter(draft);
    }
  }

  /** How many messages wait, in all conversations. */
  get count(): number {
    return this.#store.drafts.filter(({ conversationId }) => conversationId !== ROOM_DRAFTS).length;
  }

  /**
   * What was typed in a conversation and is not shown by its log yet, in the order in which it was typed. The
   * server's word and the log's entry come one after the other: a message stays on the screen between the two.
   */
  shown(conversationId: ConversationId, isInLog: (id: MessageId) => boolean): readonly ShownDraft[] {
    const kept = new Set(this.#store.drafts.map(({ id }) => id));
    const now = Date.now();
    for (const item of this.#items) if (item.isKept && !kept.has(item.draft.id)) item.droppedAt ??= now;
    this.#items = this.#items.filter(({ droppedAt }) => droppedAt === null || now - droppedAt < LINGER_MS);
    return this.#items
      .filter(({ draft, finalId }) => draft.conversationId === conversationId && !isInLog(finalId))
      .map((item) => ({ id: item.draft.id, text: item.draft.text, state: stateOf(item) }));
  }

  /** What was refused in a conversation since the start. */
  failed(conversationId: ConversationId): readonly FailedDraft[] {
    return this.#failed.filter(({ draft }) => draft.conversationId === conversationId);
  }

  /** Takes what was typed; resolves once it would survive a crash. */
  async add(conversationId: ConversationId, text: string): Promise<void> {
    const draft: Draft = { id: newMessageId(), conversationId, text, handedOver: false };
    const kept = this.#store.keepDraft(draft);
    const item: Item = { draft, finalId: draft.id, isKept: false, droppedAt: null };
    this.#items.push(item);
    this.#enter(draft, kept);
    try {
      await kept;
      item.isKept = true;
    } catch (error) {
      this.#items = this.#items.filter((other) => other !== item);
      throw error;
    }
  }

  /** The lane takes a message in the order of the calls, and sends none that is not kept. */
  #enter(draft: Draft, kept: Promise<void> = Promise.resolve()): void {
    const before = this.#lanes.get(draft.conversationId) ?? Promise.resolve();
    const sent = Promise.all([before, kept]).then(() => this.#send(draft));
    this.#lanes.set(
      draft.conversationId,
      sent.catch(() => {}), // whoever called `add` heard that it could not be kept
    );
  }

  async #send(draft: Draft): Promise<void> {
    for (;;) {
      try {
        const receipt = await this.#client.send(draft.conversationId, draft.text, { id: draft.id });
        for (const item of this.#items) if (item.draft === draft) item.finalId = receipt.id;
        return this.#changed();
      } catch (error) {
        if (!(error instanceof SottoError)) return this.#fail(draft, new SottoError("internal", String(error)));
        // The store still has it: the next start sends it.
        if (error.code === "closed" || error.code === "stopped" || error.code === "store_failed") return;
        if (!error.retryable) return this.#fail(draft, error);
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS).unref());
      }
    }
  }

  async #fail(draft: Draft, error: SottoError): Promise<void> {
    this.#failed = [...this.#failed, { draft, error }].slice(-MOST_FAILED);
    this.#items = this.#items.filter((item) => item.draft !== draft);
    await this.#store.dropDraft(draft.id);
    this.#changed();
  }
}

function stateOf({ isKept, droppedAt }: Item): ShownDraft["state"] {
  if (!isKept) return "keeping";
  return droppedAt === null ? "waiting" : "stored";
}
