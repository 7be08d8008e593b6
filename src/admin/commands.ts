/**
 * The commands of `npm run admin`. Each makes a plan from its words, and the plan is carried out once it is
 * confirmed, where it asks for that. What a plan answers is shown as text, or as it is with --json.
 */

import { findUser, type StoredAccount } from "../accounts/mod.ts";
import {
  type Actor,
  type AdministrationDeps,
  type Change,
  changeRole,
  createUser,
  disableUser,
  enableUser,
  listAudit,
  listSessions,
  readStats,
  resetPassword,
  revokeAllSessions,
  revokeSession,
} from "../administration/mod.ts";
import { DomainError, SessionId } from "../protocol/mod.ts";
import { countReports, type ReportsAdminDeps } from "../reports/mod.ts";
import { auditAnswer, changeAnswer, type Outcome, passwordAnswer, sessionsAnswer, statsAnswer } from "./answers.ts";
import { type Arguments, type Options, UsageError } from "./arguments.ts";
import { asked, none, only, type Plan, unasked, wholeOf } from "./plan.ts";
import { planClose, planReport, planReports } from "./report_commands.ts";

/** What a command is given beside its words. */
export interface CommandContext {
  readonly deps: AdministrationDeps & ReportsAdminDeps;
  readonly actor: Actor;
}

/** One command. */
export interface Command {
  /** How it is written, without its name. */
  readonly usage: string;
  readonly does: string;
  /** The options it takes beside --json, --yes and --help. */
  readonly options: readonly (keyof Options)[];
  readonly plan: (context: CommandContext, given: Arguments) => Promise<Plan>;
}

/** Every command by its name. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  "create-user": {
    usage: "NAME [--email ADDRESS] [--name DISPLAY_NAME] [--admin]",
    does: "make an account, and print its password once",
    options: ["email", "name", "admin"],
    plan: async ({ deps, actor }, { words, options }) => {
      const { email, name: displayName, admin } = options;
      const input = { actor, username: only(words, "NAME"), email, displayName, admin };
      return unasked(async () => passwordAnswer("Made", await createUser(deps, input)));
    },
  },
  "reset-password": {
    usage: "USER",
    does: "print a new password once; sessions end",
    options: [],
    plan: async (context, { words }) => {
      const { deps, actor } = context;
      const account = await userOf(context, words);
      return asked(`Give ${named(account)} a new password and end every session?`, async () =>
        passwordAnswer("Reset the password of", await resetPassword(deps, { actor, user: account.id })),
      );
    },
  },
  disable: {
    usage: "USER",
    does: "refuse an account everywhere, at once; sessions end",
    options: [],
    plan: async (context, { words }) => {
      const account = await userOf(context, words);
      return asked(`Disable ${named(account)} and end every session?`, () =>
        changed("Disabled", disableUser(context.deps, { actor: context.actor, user: account.id })),
      );
    },
  },
  enable: {
    usage: "USER",
    does: "let a disabled account sign in again",
    options: [],
    plan: async ({ deps, actor }, { words }) =>
      unasked(() => changed("Enabled", enableUser(deps, { actor, user: only(words, "USER") }))),
  },
  sessions: {
    usage: "USER",
    does: "show where somebody is signed in",
    options: [],
    plan: async ({ deps, actor }, { words }) =>
      unasked(async () => {
        const { account, sessions } = await listSessions(deps, { actor, user: only(words, "USER") });
        return sessionsAnswer(account, sessions);
      }),
  },
  revoke: {
    usage: "SESSION | --all USER",
    does: "end one session, or every session of an account",
    options: ["all"],
    plan: planRevoke,
  },
  promote: {
    usage: "USER",
    does: "make somebody an administrator",
    options: [],
    plan: async ({ deps, actor }, { words }) =>
      unasked(() => changed("Promoted", changeRole(deps, { actor, user: only(words, "USER"), role: "admin" }))),
  },
  demote: {
    usage: "USER",
    does: "make an administrator a user again",
    options: [],
    plan: async (context, { words }) => {
      const { deps, actor } = context;
      const account = await userOf(context, words);
      return asked(`Take the role of administrator from ${named(account)}?`, () =>
        changed("Demoted", changeRole(deps, { actor, user: account.id, role: "user" })),
      );
    },
  },
  stats: {
    usage: "",
    does: "count what there is",
    options: [],
    plan: async ({ deps }, { words }) => {
      none(words);
      return unasked(async () => statsAnswer(await readStats(deps), await countReports(deps.db)));
    },
  },
  reports: {
    usage: "[--state open|closed|all] [--limit N] [--before NUMBER]",
    does: "show who was reported and why, newest first",
    options: ["state", "limit", "before"],
    plan: planReports,
  },
  report: {
    usage: "REPORT",
    does: "show all that is in a report; that is written down",
    options: [],
    plan: planReport,
  },
  "close-report": {
    usage: "REPORT dismissed|warned|disabled [--note TEXT]",
    does: "say what came of it; disabled disables the account, and its sessions end",
    options: ["note"],
    plan: planClose,
  },
  audit: {
    usage: "[--user USER] [--limit N] [--before ID]",
    does: "show what was administered, newest first",
    options: ["user", "limit", "before"],
    plan: planAudit,
  },
};

async function planRevoke(context: CommandContext, { words, options }: Arguments): Promise<Plan> {
  const { deps, actor } = context;
  if (options.all) {
    const account = await userOf(context, words);
    return asked(`End every session of ${named(account)}?`, () =>
      changed("Ended every session of", revokeAllSessions(deps, { actor, user: account.id })),
    );
  }
  const session = SessionId.safeParse(only(words, "SESSION"));
  if (!session.success) throw new UsageError("Name a session by its id, or add --all and name a user");
  return asked(`End session ${session.data}?`, async () => {
    const id = await revokeSession(deps, { actor, sessionId: session.data });
    return { json: { id, session: session.data, ended: 1 }, text: `Ended session ${session.data}` };
  });
}

const MOST_ENTRIES = 1_000;

async function planAudit({ deps }: CommandContext, { words, options }: Arguments): Promise<Plan> {
  none(words);
  const limit = wholeOf("--limit", options.limit ?? "50", MOST_ENTRIES);
  const before = options.before === undefined ? null : wholeOf("--before", options.before, Number.MAX_SAFE_INTEGER);
  return unasked(async () => {
    const account = options.user === undefined ? null : (await find(deps, options.user)).id;
    return auditAnswer(await listAudit(deps, { before, account, limit }));
  });
}

async function changed(verb: string, work: Promise<Change>): Promise<Outcome> {
  return changeAnswer(verb, await work);
}

function userOf({ deps }: CommandContext, words: readonly string[]): Promise<StoredAccount> {
  return find(deps, only(words, "USER"));
}

async function find(deps: AdministrationDeps, user: string): Promise<StoredAccount> {
  const account = await findUser(deps.db, user);
  if (account === undefined) throw new DomainError("user_not_found");
  return account;
}

function named({ username, id }: StoredAccount): string {
  return `${username} (${id})`;
}
