import { findUser } from "../accounts/mod.ts";
import type { Sql } from "../platform/postgres.ts";
import { type AccountId, DomainError } from "../protocol/mod.ts";

/** Throws `forbidden` for who is no administrator now; their token does not say. */
export async function requireAdministrator(sql: Sql, id: AccountId): Promise<void> {
  const account = await findUser(sql, id);
  if (account?.role !== "admin") throw new DomainError("forbidden");
}
