/** The statements on `mail_links`. Times are milliseconds since the epoch. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";

/** What a link is for. */
export type LinkPurpose = "sign_in" | "reset_password" | "verify_email";

/** What {@link insertLink} writes. */
export interface NewLink {
  /** SHA-256 of the token. */
  readonly hash: Buffer;
  readonly accountId: AccountId;
  readonly purpose: LinkPurpose;
  readonly email: string;
  readonly now: number;
  readonly expiresAt: number;
}

/** Whose a link is, and where it was sent. */
export interface StoredLink {
  readonly accountId: AccountId;
  readonly email: string;
}

/** Stores a link; `false` where the account has had `most` of this kind since a time. The caller holds the account's lock. */
export async function insertLink(
  tx: Sql,
  link: NewLink,
  limit: { readonly most: number; readonly since: number },
): Promise<boolean> {
  const { hash, accountId, purpose, email } = link;
  const times = [link.now, link.expiresAt, limit.since].map((time) => new Date(time));
  const rows = await tx.query(
    `insert into mail_links (hash, account, purpose, email, created_at, expires_at)
     select $1, $2, $3, $4, $5, $6
     where (select count(*) from mail_links where account = $2 and purpose = $3 and created_at > $7) < $8
     returning 1`,
    [hash, accountId, purpose, email, ...times, limit.most],
    "mail_links_insert",
  );
  return rows.length === 1;
}

/** A link that can still be used, and stays so. */
export async function findLink(
  sql: Sql,
  hash: Buffer,
  purpose: LinkPurpose,
  now: number,
): Promise<StoredLink | undefined> {
  const [row] = await sql.query<{ account: AccountId; email: string }>(
    "select account, email from mail_links where hash = $1 and purpose = $2 and expires_at > $3",
    [hash, purpose, new Date(now)],
    "mail_links_find",
  );
  return row === undefined ? undefined : { accountId: row.account, email: row.email };
}

/** Uses a link up; `false` where it is gone. The caller holds the account's lock. */
export async function takeLink(tx: Sql, hash: Buffer): Promise<boolean> {
  const rows = await tx.query("delete from mail_links where hash = $1 returning 1", [hash], "mail_links_take");
  return rows.length === 1;
}

/** Removes an account's links, all of them or those of one kind. The caller holds the account's lock. */
export async function deleteLinks(tx: Sql, accountId: AccountId, purpose: LinkPurpose | null): Promise<void> {
  await tx.query(
    "delete from mail_links where account = $1 and ($2::text is null or purpose = $2)",
    [accountId, purpose],
    "mail_links_delete",
  );
}

/** Removes links that expired before a time, at most `limit`; gives how many. */
export async function deleteOldLinks(sql: Sql, before: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `delete from mail_links where hash in (
       select hash from mail_links where expires_at < $1 limit $2
     ) returning 1`,
    [new Date(before), limit],
    "mail_links_delete_old",
  );
  return rows.length;
}
