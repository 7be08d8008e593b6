/** Public channels as everybody finds and reads them, member or not. */
import { type ConversationId, DomainError, LIMITS, type LogEntry } from "../protocol/mod.ts";
import { findPublicChannel, listPublicChannels, type PublicChannel } from "./channels_store.ts";
import type { ConversationsDeps } from "./deps.ts";
import { listHistory } from "./events_store.ts";

/** A public channel by its slug; else `conversation_not_found`, also where there is a private one. */
export async function requireChannel(deps: Pick<ConversationsDeps, "db">, slug: string): Promise<PublicChannel> {
  const channel = await findPublicChannel(deps.db, slug);
  if (channel === null) throw new DomainError("conversation_not_found");
  return channel;
}

/** A page of public channels whose slug begins so, in its order; `next` is the slug to go on behind. */
export async function listChannels(
  deps: Pick<ConversationsDeps, "db">,
  page: { readonly beginning: string; readonly behind: string | null; readonly limit: number },
): Promise<{ readonly channels: readonly PublicChannel[]; readonly next: string | null }> {
  const { beginning, behind, limit } = page;
  const found = await listPublicChannels(deps.db, { beginning, behind: behind ?? "", limit: limit + 1 });
  const channels = found.slice(0, limit);
  return { channels, next: found.length > limit ? (channels.at(-1)?.channel ?? null) : null };
}

/** A page of a public channel's log in rising order; empty where it is public no more. */
export interface ChannelPage {
  readonly entries: readonly LogEntry[];
  /** Whether there was more behind it, or before it if it is the newest. */
  readonly more: boolean;
}

/** The entries after a seq, or the newest where `after` is `null`. */
export async function readChannel(
  deps: ConversationsDeps,
  conversationId: ConversationId,
  after: number | null,
): Promise<ChannelPage> {
  const { rows, more } = await listHistory(deps.db, {
    ...{ accountId: null, conversationId, shared: true },
    ...(after === null
      ? ({ direction: "before", seq: Number.MAX_SAFE_INTEGER } as const)
      : ({ direction: "after", seq: after } as const)),
    ...{ limit: LIMITS.pageEvents, bytes: LIMITS.pageBytes },
  });
  return { entries: await deps.pages.entries(conversationId, rows), more };
}
