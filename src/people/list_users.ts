import { foldName } from "../accounts/mod.ts";
import { AccountId, DomainError } from "../protocol/mod.ts";
import type { ProfileDeps } from "./deps.ts";
import { type Profile, showProfiles } from "./profile.ts";
import { type FoundPlace, searchProfiles } from "./profiles_store.ts";

/** Which people. */
export interface ListUsersInput {
  readonly viewerId: AccountId;
  /** How their user name or display name begins, in any case; empty for everybody who lets themselves be found. */
  readonly query: string;
  /** The `next` of the page before. */
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** A page of people in the order of the names that were found. `next` goes on behind it; `null` at the end. */
export interface UserPage {
  readonly users: readonly Profile[];
  readonly next: string | null;
}

/** Finds people who let themselves be found. Throws `bad_request` for a cursor that no page gave. */
export async function listUsers(deps: ProfileDeps, input: ListUsersInput): Promise<UserPage> {
  const behind = readPlace(input.cursor);
  // No name holds U+0000, and Postgres takes it in no text.
  if (input.query.includes("\0")) return { users: [], next: null };
  const found = await searchProfiles(deps.db, {
    prefix: foldName(input.query),
    behind,
    limit: input.limit + 1,
  });
  const page = found.slice(0, input.limit);
  const users = await showProfiles(
    deps,
    input.viewerId,
    page.map(({ profile }) => profile),
  );
  const last = page.at(-1);
  return { users, next: found.length > page.length && last !== undefined ? writePlace(last.place) : null };
}

function writePlace({ key, id }: FoundPlace): string {
  return Buffer.from(`${id}${key}`).toString("base64url");
}

const ID_LENGTH = 36;

function readPlace(cursor: string | undefined): FoundPlace | null {
  if (cursor === undefined) return null;
  const text = Buffer.from(cursor, "base64url").toString();
  const id = AccountId.safeParse(text.slice(0, ID_LENGTH));
  const key = text.slice(ID_LENGTH);
  // A text of the database holds no NUL, and no cursor that a page gave does.
  if (!id.success || key.includes("\0")) {
    throw new DomainError("bad_request", { details: { fields: { cursor: "must be the next of an earlier page" } } });
  }
  return { key, id: id.data };
}
