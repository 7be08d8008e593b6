/** All conversations of the account, as pages and live entries tell of them. */
import { type ClientEvent, type Signal, type SottoClient, SottoError } from "../client/mod.ts";
import type { ConversationId } from "../protocol/mod.ts";
import { cleanName } from "./clean_text.ts";
import { type People, sameName } from "./people.ts";
import { Talk } from "./talk.ts";

const PAGE = 50;
const LIST_PAGE = 200;
const MOST_LISTED = 1_000;

/** Keeps the conversations; see the head of this file. */
export class Talks {
  readonly #client: SottoClient;
  readonly #people: People;
  readonly #talks = new Map<ConversationId, Talk>();

  constructor(client: SottoClient, people: People) {
    this.#client = client;
    this.#people = people;
  }

  /** The conversations: those that are pinned first, and of each sort the one with the latest message. */
  get list(): readonly Talk[] {
    const pinned = (talk: Talk) => Number(talk.conversation.pinned);
    return [...this.#talks.values()].sort((a, b) => pinned(b) - pinned(a) || b.lastActivity - a.lastActivity);
  }

  /** One conversation. */
  get(id: ConversationId): Talk | undefined {
    return this.#talks.get(id);
  }

  /** What a conversation is called: a dm by the other person, and a group by its name. */
  title(talk: Talk): string {
    const { conversation_type: type, name } = talk.conversation;
    if (type !== "dm") return cleanName(name ?? "a group without a name");
    const [other] = talk.others;
    return other === undefined ? "somebody who has left" : this.#people.name(other);
  }

  /** The conversation with this title, or with this number in the list. */
  find(words: string): Talk | undefined {
    const { list } = this;
    const named = list.find((talk) => sameName(this.title(talk), words));
    return named ?? (/^\d+$/.test(words) ? list[Number(words) - 1] : undefined);
  }

  /** Asks for the list of conversations; those that are known keep their log. */
  async refresh(): Promise<void> {
    let cursor: string | undefined;
    for (let count = 0; count < MOST_LISTED; count += LIST_PAGE) {
      const query = { limit: LIST_PAGE, ...(cursor === undefined ? {} : { cursor }) };
      const page = await this.#client.api.listConversations(query);
      for (const conversation of page.conversations) this.learn(conversation);
      if (page.next === null) return;
      cursor = page.next;
    }
  }

  /** Takes a conversation as the server describes it now. */
  learn(conversation: Talk["conversation"]): Talk {
    const known = this.#talks.get(conversation.id);
    known?.update(conversation);
    const talk = known ?? new Talk(conversation, this.#client.session.userId);
    this.#talks.set(conversation.id, talk);
    return talk;
  }

  /** Asks who is in a conversation, where the list did not say it all. */
  async complete(talk: Talk): Promise<void> {
    if (!talk.isComplete) await this.#ask(talk.conversation.id);
  }

  /** Takes an entry of a log. `isShown`: whether its conversation is on the screen. */
  async take(event: ClientEvent, isShown: (id: ConversationId) => boolean): Promise<void> {
    if (event.type === "key_exchange") return; // nothing here hands anything over
    const id = event.conversation_id;
    if (event.type === "conversation_left") return void this.#talks.delete(id);
    if (!this.#talks.has(id) || event.type === "membership" || event.type === "change") await this.#ask(id);
    const talk = this.#talks.get(id);
    if (talk === undefined) return;
    if (event.type === "truncated") return talk.timeline.forget(event.truncated_before);
    talk.typed(event.sender_id, false, 0);
    if (!talk.timeline.add(event) || event.type !== "message") return;
    const fromOthers = event.sender_id !== this.#client.session.userId;
    const isUnread = fromOthers && !isShown(id);
    talk.count({ seq: event.seq, at: Date.parse(event.created_at), isUnread });
  }

  /** Takes what is not stored. */
  signal(signal: Signal): void {
    // Who is there is asked for with /who; reports are no conversation's.
    if (signal.type === "presence_update" || signal.type === "report_filed") return;
    const talk = this.#talks.get(signal.conversation_id);
    if (talk === undefined) return;
    switch (signal.type) {
      case "message_read":
        return talk.reached(signal.user_id, "read", signal.seq);
      case "message_delivered":
        return talk.reached(signal.user_id, "delivered", signal.seq);
      case "settings": {
        const { muted_until, archived, pinned, first_seq: first } = signal;
        if (first > talk.conversation.first_seq) talk.timeline.forget(first);
        talk.conversation = { ...talk.conversation, muted_until, archived, pinned, first_seq: first };
        return;
      }
      case "message_hidden":
        return talk.timeline.hide(signal.message_seq);
      case "typing_start":
      case "typing_stop":
        return talk.typed(signal.user_id, signal.type === "typing_start", Date.now());
    }
  }

  /**
   * Reads the newest page of a conversation, or the one before what is there. Live entries may be known from
   * before a page: then pages are read until one brings something new.
   */
  async page(talk: Talk): Promise<void> {
    const { timeline, conversation } = talk;
    const first = timeline.items[0]?.seq;
    do {
      const { older } = timeline;
      const query = { limit: PAGE, ...(older === null ? {} : { before_seq: older }) };
      const page = await this.#client.history(conversation.id, query);
      timeline.addPage(page.messages, page.previous);
    } while (timeline.older !== null && timeline.items[0]?.seq === first);
  }

  async #ask(id: ConversationId): Promise<void> {
    try {
      this.learn(await this.#client.api.conversation(id));
    } catch (error) {
      // Not ours any more: nothing of it is shown.
      if (!(error instanceof SottoError) || error.retryable) throw error;
      this.#talks.delete(id);
    }
  }
}
