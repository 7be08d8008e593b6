import type { ReportsAdminDeps } from "./deps.ts";
import { deleteOldReports } from "./reports_store.ts";

/** Days that a report is kept after it was closed. */
export const KEEP_CLOSED_DAYS = 90;
/** Days that a report is kept which nobody closes. */
export const KEEP_OPEN_DAYS = 365;

const DAY_MS = 24 * 60 * 60 * 1_000;
const BATCH = 1_000;

/** Removes reports that have had their time, some thousand at most; gives how many. Any node may, at any time. */
export async function purgeReports({ db, clock }: Pick<ReportsAdminDeps, "db" | "clock">): Promise<number> {
  const ago = (days: number) => new Date(clock.now() - days * DAY_MS);
  return deleteOldReports(db, { closed: ago(KEEP_CLOSED_DAYS), created: ago(KEEP_OPEN_DAYS) }, BATCH);
}
