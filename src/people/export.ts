/**
 * Everything held about somebody, as an archive of NDJSON files: the rows of each table, and the logs of
 * their conversations as far as they may see them, in parts, so that memory is bounded by one part.
 * What the server cannot read is in it as the server has it.
 */
import { type ConversationsDeps, readLog } from "../conversations/mod.ts";
import { type ArchiveFile, writeArchive } from "../platform/tar.ts";
import { type AccountId, type ConversationId, DomainError, toEventFrame } from "../protocol/mod.ts";
import type { PeopleDeps } from "./deps.ts";
import { EXPORTED, listOwnConversations, readExported } from "./export_store.ts";

/** Rows about an account that are not as the archive shows them, for they are sealed: a later slice reads its own. */
export interface ExportSource {
  /** The name of its file, beside those of tables. */
  readonly table: string;
  /** A page of rows as JSON texts; the first is behind `""`, and `next` is the following page's `behind`. */
  readonly read: (of: {
    readonly account: AccountId;
    readonly behind: string;
    readonly limit: number;
  }) => Promise<{ readonly rows: readonly string[]; readonly next: string | null }>;
}

/** What an export needs. */
export interface ExportDeps extends PeopleDeps {
  readonly conversations: ConversationsDeps;
  readonly sources: readonly ExportSource[];
  /** The accounts whose export is under way at this node. */
  readonly exporting: Set<AccountId>;
}

const ROWS_AT_ONCE = 500;
const CONVERSATIONS_AT_ONCE = 100;
/** Exports of one node at once; each holds one part and now and then a connection. */
const MOST_AT_ONCE = 4;

/**
 * The archive, a gzipped tar, written as it is read. One at a time for an account: throws the retryable
 * `busy` for a further one, and where too many are under way.
 */
export function exportAccount(deps: ExportDeps, input: { readonly accountId: AccountId }): ReadableStream<Uint8Array> {
  const { accountId } = input;
  if (deps.exporting.has(accountId) || deps.exporting.size >= MOST_AT_ONCE) throw new DomainError("busy");
  deps.exporting.add(accountId);
  const files = filesOf(deps, accountId);
  const done = () => deps.exporting.delete(accountId);
  return writeArchive(
    {
      next: () =>
        files.next().then(
          (next) => {
            if (next.done === true) done();
            return next;
          },
          (error) => {
            done();
            throw error;
          },
        ),
      return: async () => {
        done();
        return { done: true, value: undefined };
      },
    },
    deps.clock.now(),
  );
}

async function* filesOf(deps: ExportDeps, account: AccountId): AsyncGenerator<ArchiveFile> {
  for (const source of [...EXPORTED.map((table) => sourceOf(deps, table)), ...deps.sources])
    yield* tableFiles(source, account);
  let beyond: ConversationId | null = null;
  for (;;) {
    const ids: readonly ConversationId[] = await listOwnConversations(deps.db, account, beyond, CONVERSATIONS_AT_ONCE);
    for (const id of ids) yield* logFiles(deps, account, id);
    if (ids.length < CONVERSATIONS_AT_ONCE) return;
    beyond = ids.at(-1) ?? null;
  }
}

function sourceOf({ db }: ExportDeps, table: (typeof EXPORTED)[number]): ExportSource {
  return { table: table.table, read: (of) => readExported(db, { ...of, table }) };
}

async function* tableFiles({ table, read }: ExportSource, account: AccountId): AsyncGenerator<ArchiveFile> {
  let behind: string | null = "";
  for (let part = 1; behind !== null; part++) {
    const page: Awaited<ReturnType<ExportSource["read"]>> = await read({ account, behind, limit: ROWS_AT_ONCE });
    if (page.rows.length > 0) yield file(`tables/${table}`, part, page.rows);
    behind = page.next;
  }
}

async function* logFiles(deps: ExportDeps, accountId: AccountId, id: ConversationId): AsyncGenerator<ArchiveFile> {
  let after: number | null = 0;
  for (let part = 1; after !== null; part++) {
    const page: Awaited<ReturnType<typeof readLog>> = await readLog(deps.conversations, {
      ...{ accountId, conversationId: id, after },
    });
    const lines = page.entries.map((entry) => JSON.stringify(toEventFrame(entry)));
    if (lines.length > 0) yield file(`conversations/${id}`, part, lines);
    after = page.next;
  }
}

function file(name: string, part: number, lines: readonly string[]): ArchiveFile {
  const bytes = Buffer.from(`${lines.join("\n")}\n`);
  return { name: `${name}.${String(part).padStart(6, "0")}.ndjson`, bytes };
}
