/** A log of the model: what it holds, and what of it each may see. */
import type { AccountId, ConversationId, MessageId } from "../../../src/protocol/mod.ts";
import type { Entry } from "../../support/history/entry.ts";

/** A log as the model keeps it. */
export interface Log {
  readonly conversation: ConversationId;
  readonly entries: Entry[];
  readonly byId: Map<MessageId, Entry>;
  readonly members: { readonly account: AccountId; readonly joined: number; left: number | null }[];
  readonly isDm: boolean;
  /** What is withheld from whom; `to` is null while the block lasts. */
  readonly withheld: {
    readonly reader: AccountId;
    readonly sender: AccountId;
    readonly from: number;
    to: number | null;
  }[];
  purged: number;
  readonly retentionMs: number | null;
}

/** Whether somebody may see a place. */
export function sees({ members }: Log, who: AccountId, seq: number): boolean {
  return members.some(({ account, joined, left }) => account === who && joined <= seq && (left === null || seq < left));
}

/** What is withheld has a place and no body; a message is shown as its newest edit that is not withheld says. */
export function shownTo({ entries, withheld }: Log, who: AccountId, entry: Entry): Entry {
  const isWithheld = ({ seq, sender: by }: Entry) =>
    withheld.some(
      ({ reader, sender, from, to }) => reader === who && sender === by && from <= seq && seq <= (to ?? seq),
    );
  if (entry.kind === "membership" || entry.kind === "tombstone") return entry;
  if (isWithheld(entry)) return bare(entry);
  const edit = entries.findLast((one) => one.kind === "edit" && one.target === entry.id && !isWithheld(one));
  return edit === undefined ? entry : { ...entry, body: edit.said ?? null, version: edit.id };
}

function bare({ conversation, seq, id, sender, createdAt }: Entry): Entry {
  return { conversation, seq, id, sender, createdAt, kind: "tombstone", body: null };
}

/** Takes away what a place says. */
export function empty({ entries, byId }: Log, place: number): void {
  const entry = bare(entries[place] as Entry);
  entries[place] = entry;
  byId.set(entry.id, entry);
}
