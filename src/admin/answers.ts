/** What a command did, as text for people and as JSON for programs. */
import type { ListedSession, StoredAccount } from "../accounts/mod.ts";
import type { AuditPage, Stats, WithPassword } from "../administration/mod.ts";

/** What a command answers. */
export interface Outcome {
  readonly json: object;
  readonly text: string;
}

/** An account with the password that nobody will be told again. */
export function passwordAnswer(verb: string, made: WithPassword): Outcome {
  const { id, username, password } = made;
  const advice = "It is shown this once: pass it on, and have it changed.";
  return { json: { id, username, password }, text: `${verb} ${username} (${id})\nPassword  ${password}\n${advice}` };
}

/** A change of an account. */
export function changeAnswer(
  verb: string,
  change: { readonly account: StoredAccount; readonly changed: boolean; readonly ended: readonly string[] },
): Outcome {
  const { id, username } = change.account;
  const ended = change.ended.length;
  const json = { id, username, changed: change.changed, ended };
  if (!change.changed) return { json, text: `Nothing to do for ${username} (${id}): it is so already` };
  return { json, text: `${verb} ${username} (${id})${ended === 0 ? "" : `\nSessions that ended: ${ended}`}` };
}

/** Where somebody is signed in. */
export function sessionsAnswer({ id, username }: StoredAccount, sessions: readonly ListedSession[]): Outcome {
  const json = sessions.map((session) => ({
    id: session.id,
    device_id: session.deviceId,
    device_name: session.deviceName,
    platform: session.platform,
    created_at: session.createdAt.toISOString(),
    last_seen: session.seenOn,
  }));
  const rows = json.map((row) => [
    ...[row.id, row.created_at.slice(0, 10), row.last_seen, row.platform ?? "-", row.device_name ?? "-"],
  ]);
  const text =
    rows.length === 0 ? "No session" : table([["session", "since", "last seen", "platform", "device"], ...rows]);
  return { json: { id, username, sessions: json }, text };
}

/** How much there is. */
export function statsAnswer(stats: Stats, reports: { readonly open: number; readonly closed: number }): Outcome {
  const { accounts, sessions, devices, conversations, entries, databaseBytes } = stats;
  const text = table([
    ["accounts", `${accounts.total}, of them ${accounts.disabled} disabled, ${accounts.admins} administrators`],
    ["sessions", `${sessions} live, ${devices} devices ever`],
    ["conversations", `${conversations}, with ${entries} entries ever`],
    ["reports", `${reports.open} open, ${reports.closed} closed`],
    ["database", `${(databaseBytes / 1_000_000).toFixed(1)} MB`],
  ]);
  const json = { accounts, sessions, devices, conversations, entries, reports, database_bytes: databaseBytes };
  return { json, text };
}

/** What was administered. */
export function auditAnswer({ entries, next }: AuditPage): Outcome {
  const json = entries.map((entry) => ({
    id: entry.id,
    at: entry.at.toISOString(),
    actor_kind: entry.actorKind,
    actor: entry.actor,
    action: entry.action,
    user_id: entry.account,
    username: entry.username,
    session_id: entry.session,
    report_id: entry.report,
  }));
  const rows = json.map(({ id, at, actor_kind, actor, action, user_id, username, session_id, report_id }) => [
    ...[String(id), at, `${actor_kind}:${actor}`, action, username ?? user_id ?? "-", session_id ?? report_id ?? ""],
  ]);
  const lines = rows.length === 0 ? "No entry" : table([["id", "when", "who", "what", "whom", ""], ...rows]);
  return { json: { entries: json, next }, text: next === null ? lines : `${lines}\nMore: --before ${next}` };
}

/** Rows as lines, with columns as wide as they need to be. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return lines.map((line) => line.trimEnd()).join("\n");
}
