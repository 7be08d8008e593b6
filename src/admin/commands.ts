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
import { auditAnswer, changeAnswer, type Outcome, passwordAnswer, sessionsAnswer, statsAnswer } from "./answers.ts";
import { type Arguments, type Options, UsageError } from "./arguments.ts";

/** What a command is given beside its words. */
export interface CommandContext {
  readonly deps: AdministrationDeps;
  readonly actor: Actor;
}

/** What a command is about to do. */
export interface Plan {
  /** What to ask before it; `null`: nothing is lost by it. */
  readonly question: string | null;
  readonly carryOut: () => Promise<Outcome>;
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
      return unasked(async () => statsAnswer(await readStats(deps)));
    },
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

function unasked(carryOut: Plan["carryOut"]): Plan {
  return { question: null, carryOut };
}

function asked(question: string, carryOut: Plan["carryOut"]): Plan {
  return { question, carryOut };
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

function only(words: readonly string[], what: string): string {
  const [word] = words;
  if (word === undefined || words.length > 1) throw new UsageError(`Give one ${what}: there are ${words.length} words`);
  return word;
}

function none(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`Leave out what follows the command: current value is ${words.join(" ")}`);
}

function wholeOf(option: string, text: string, most: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new UsageError(`Set ${option} to a whole number from 1 to ${most}`);
  return value;
}
