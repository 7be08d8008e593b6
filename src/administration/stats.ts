import { countAccounts, countSessions } from "../accounts/mod.ts";
import { countConversations } from "../conversations/mod.ts";
import { databaseBytes } from "./audit_store.ts";
import type { AdministrationDeps } from "./deps.ts";

/** How much there is. */
export interface Stats {
  readonly accounts: { readonly total: number; readonly disabled: number; readonly admins: number };
  /** Live ones. */
  readonly sessions: number;
  readonly devices: number;
  readonly conversations: number;
  /** Entries that all logs ever got: messages, and what else is numbered, also what expired since. */
  readonly entries: number;
  readonly databaseBytes: number;
}

/** Counts; reads whole tables, so it takes seconds where there are millions. */
export async function readStats(deps: Pick<AdministrationDeps, "db" | "clock">): Promise<Stats> {
  const accounts = await countAccounts(deps.db);
  const { live: sessions, devices } = await countSessions(deps.db, deps.clock.now());
  const { conversations, entries } = await countConversations(deps.db);
  return { accounts, sessions, devices, conversations, entries, databaseBytes: await databaseBytes(deps.db) };
}
