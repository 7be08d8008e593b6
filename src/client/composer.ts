/**
 * Text into content and back, by the conversation's encryption: what a `server` conversation carries
 * as it is, an `opaque` one carries encrypted and signed.
 */
import type { AccountId, ConversationId, EventFrame, MessageContent, MessageId } from "../protocol/mod.ts";
import type { Api, Conversation } from "./api.ts";
import type { Contacts } from "./contacts.ts";
import { DecryptionError, type DecryptionFault, decrypt, encryptFor, type PemKeys } from "./pem_encryption.ts";
import { SottoError } from "./sotto_error.ts";
import type { ClientEntry } from "./store.ts";

type Written = Extract<EventFrame, { type: "message" | "edit" }>;

/** What an app reads beside the fields of the wire. */
type Readable<Of extends Written> = Of & {
  /** The text; `null` where it could not be read, or where the client has no keys. */
  readonly text: string | null;
  /** Why it could not be read. Show such a message as damaged, never as its sender's. */
  readonly fault: DecryptionFault | null;
};

/** A message as an app reads it: one that was edited, with its newest text. */
export type ReadableMessage = Readable<Extract<EventFrame, { type: "message" }>>;

/** An edit as an app reads it: from now on the message `message_id` has this text. */
export type ReadableEdit = Readable<Extract<EventFrame, { type: "edit" }>>;

/** What `events()` gives. */
export type ClientEvent = Exclude<ClientEntry, { type: "message" | "edit" }> | ReadableMessage | ReadableEdit;

const MOST_CACHED = 1_000;

/** Writes and reads the contents of messages. */
export class Composer {
  readonly #api: Api;
  readonly #contacts: Contacts;
  readonly #keys: PemKeys | undefined;
  readonly #conversations = new Map<ConversationId, Conversation>();

  constructor(api: Api, contacts: Contacts, keys: PemKeys | undefined) {
    this.#api = api;
    this.#contacts = contacts;
    this.#keys = keys;
  }

  /** Who is in a conversation may have changed: ask again before the next message. */
  forget(conversationId: ConversationId): void {
    this.#conversations.delete(conversationId);
  }

  /** The content for a text, and whether it is bound to the id; `edits`: the message that it is an edit of. */
  async compose(
    conversationId: ConversationId,
    id: MessageId,
    text: string,
    edits?: MessageId,
  ): Promise<{ readonly content: Partial<MessageContent>; readonly idBound: boolean }> {
    const conversation = await this.conversation(conversationId);
    if (conversation.encryption === "server") return { content: { content: text }, idBound: false };
    const keys = this.#keys;
    if (keys === undefined || conversation.encryption !== "opaque") {
      throw new SottoError(
        "encryption_unsupported",
        `Encrypt it yourself or give the client keys: this is ${conversation.encryption}`,
      );
    }
    const self = this.#api.tokens.session.userId;
    const others = conversation.participant_ids.filter((userId) => userId !== self);
    const readers = await Promise.all(others.map((userId) => this.#contacts.keyFor(userId)));
    const context = { senderId: self, conversationId, id, edits };
    return { content: { encrypted_content: await encryptFor(readers, text, { keys, context }) }, idBound: true };
  }

  /** Reads an entry. A message or edit that cannot be read is given with its `fault`. */
  async read(entry: ClientEntry): Promise<ClientEvent> {
    if (entry.type !== "message" && entry.type !== "edit") return entry;
    if (entry.encrypted_content === undefined) return { ...entry, text: entry.content ?? null, fault: null };
    if (this.#keys === undefined) return { ...entry, text: null, fault: null };
    try {
      return { ...entry, text: await this.#open(this.#keys, entry, entry.encrypted_content), fault: null };
    } catch (error) {
      if (error instanceof DecryptionError) return { ...entry, text: null, fault: error.fault };
      throw error;
    }
  }

  async #open(keys: PemKeys, entry: Written, ciphertext: string): Promise<string> {
    const context = { senderId: entry.sender_id, conversationId: entry.conversation_id, ...writtenAs(entry) };
    return decrypt(ciphertext, { keys, senderKeys: await this.#signingKeys(entry.sender_id, keys), context });
  }

  async #signingKeys(userId: AccountId, keys: PemKeys): Promise<readonly string[]> {
    return userId === this.#api.tokens.session.userId ? [keys.publicKey] : this.#contacts.signingKeys(userId);
  }

  /** A conversation, as it was when it was last asked for. */
  async conversation(id: ConversationId): Promise<Conversation> {
    const known = this.#conversations.get(id);
    if (known !== undefined) return known;
    const conversation = await this.#api.conversation(id);
    // Who comes to a channel and who goes is no entry of its log: nothing would say that this is out of date.
    if (conversation.conversation_type === "channel" && conversation.encryption === "opaque") return conversation;
    if (this.#conversations.size >= MOST_CACHED) this.#conversations.clear();
    this.#conversations.set(id, conversation);
    return conversation;
  }
}

/** The id under which what is shown was written, and of which message it is an edit. */
function writtenAs(entry: Written): { readonly id: MessageId; readonly edits?: MessageId } {
  if (entry.type === "edit") return { id: entry.id, edits: entry.message_id };
  return entry.edit_id === undefined ? { id: entry.id } : { id: entry.edit_id, edits: entry.id };
}
