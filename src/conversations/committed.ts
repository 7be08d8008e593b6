/** From what the log says of an event that is committed to the entry that it is, and to who is told of it. */
import type { LogEntry } from "../protocol/mod.ts";
import type { Address, ConversationsDeps, Delivery } from "./deps.ts";
import type { Head } from "./head.ts";

/** An entry as its maker knows it, before the log has given it a place. */
export type Unplaced<Entry extends LogEntry = LogEntry> = Entry extends LogEntry
  ? Pick<Entry, "id" | "conversationId" | "senderId" | "kind" | "content">
  : never;

/** Members from which one list serves for all that is said while they are the same. */
const LARGE = 32;
/** Of a head all its members, as the recipients of every entry from `since` on. */
const everybody = new WeakMap<Head, { readonly recipients: readonly Address[]; readonly since: number }>();

/** The place that the log gave an entry. Times are milliseconds since the epoch. */
export type Place = Pick<LogEntry, "seq" | "createdAt" | "expiresAt">;

/** The entry at its place. */
export function entryAt({ seq, createdAt, expiresAt }: Place, entry: Unplaced): LogEntry {
  return { ...entry, seq, createdAt, expiresAt };
}

/**
 * Who is told of an entry at once: the members who may see it, and last the feeds of a public channel, by
 * its id. Who blocks its sender finds its place in the log, later.
 */
export function recipientsOf(
  head: Head | null,
  { seq, senderId }: Pick<LogEntry, "seq" | "senderId">,
): readonly Address[] {
  if (head === null) return [];
  const known = everybody.get(head);
  if (known !== undefined && seq >= known.since) return known.recipients;
  const recipients: Address[] = [];
  for (const [account, { joinedSeq }] of head.members) {
    const withheld = account !== senderId && seq <= (head.withheldUpTo.get(account) ?? 0);
    if (joinedSeq <= seq && !withheld) recipients.push(account);
  }
  const isAll = recipients.length === head.members.size;
  if (head.isPublic) recipients.push(head.id);
  if (isAll && recipients.length >= LARGE) everybody.set(head, { recipients, since: seq });
  return recipients;
}

/** What is delivered of an entry: to those who are members now that it is stored. */
export async function deliveryOf(
  deps: Pick<ConversationsDeps, "heads">,
  entry: LogEntry,
  of: { readonly status: "stored" | "known" | "unchanged" | "silent"; readonly membersVersion: number },
): Promise<Delivery> {
  const head = await deps.heads.atLeast(entry.conversationId, of.membersVersion);
  return { entry, stored: of.status === "stored", recipients: recipientsOf(head, entry) };
}
