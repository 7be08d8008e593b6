/**
 * Conversations and their logs: who is in them, what was said, and how far each device is.
 *
 * Owns: the tables conversations, channels, members, withheld, events, edits, reactions, hidden_messages, device_cursors,
 * device_sync, confirmations, endings;
 * the lanes that write the log; the cache of heads; cursors on their way to the database.
 *
 * - An entry is answered after its commit, never before, and has one seq for ever.
 * - Nobody sends or reads outside joined <= seq < left, but for older pages of a channel that shares them.
 * - Use cases commit and give back what to deliver; they deliver nothing themselves.
 *
 * May import: protocol, platform, and the door of accounts.
 */
export { announceKey, type KeyChange } from "./announce_key.ts";
export { type ReactInput, type ReactResult, react } from "./change_message.ts";
export { joinChannel } from "./channel_members.ts";
export { type ChannelPage, listChannels, readChannel, requireChannel } from "./channels.ts";
export { type PublicChannel, publicHeads } from "./channels_store.ts";
export { contactsAmong, listContactsOf, listPairsSharing } from "./contacts_store.ts";
export { countConversations } from "./conversations_store.ts";
export { type CreateConversationInput, type CreatedConversation, createConversation } from "./create_conversation.ts";
export type { Address, ConversationsDeps, Delivery, Doorbell } from "./deps.ts";
export type { BehindRow, PageRequest } from "./events_store.ts";
export { type ForgetInput, forgetEverywhere } from "./forget_member.ts";
export type { Head } from "./head.ts";
export { type Conversations, type OpenConversationsOptions, openConversations } from "./open.ts";
export { BEHIND_LIMIT, type Page } from "./page_reader.ts";
export {
  addParticipant,
  findVisibleTop,
  type ParticipantInput,
  removeParticipant,
  requireMember,
} from "./participants.ts";
export {
  getConversation,
  listConversations,
  listMessages,
  type MessagePage,
  readLog,
  readMessages,
} from "./read_conversations.ts";
export { isBlocked } from "./receipts.ts";
export { findSeenMessage, type SeenMessage, wasIn } from "./seen_message.ts";
export {
  type SendMessageInput,
  type SendResult,
  type SentMessage,
  sendMessage,
  submitMessage,
} from "./send_message.ts";
export { ensureServerChannel, type ServerChannel } from "./server_channel.ts";
export type { ConversationSummary } from "./summaries_store.ts";
export { confirmDelivered, listUndelivered, type UndeliveredPage } from "./undelivered.ts";
