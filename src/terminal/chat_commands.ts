/** What the commands do. Each throws a SottoError, which the chat shows as a sentence. */
import { fingerprintOf, type SottoClient, SottoError, type User } from "../client/mod.ts";
import type { AccountId } from "../protocol/mod.ts";
import { HELP, type TypedCommand } from "./commands.ts";
import { type People, sameName } from "./people.ts";
import type { Profile } from "./profile.ts";
import { report } from "./report_command.ts";
import type { Talk } from "./talk.ts";
import type { Talks } from "./talks.ts";

/** What a command may use and do. */
export interface CommandHost {
  readonly client: SottoClient;
  readonly people: People;
  readonly talks: Talks;
  readonly profile: Profile;
  /** The open conversation. */
  readonly talk: Talk | null;
  /** Opens a conversation; `null` shows the list. */
  open(talk: Talk | null): Promise<void>;
  /** Moves back in the log. */
  older(): Promise<void>;
  /** Answers, below everything else. */
  say(lines: readonly string[]): void;
  /** Says something, and does `then` where `/yes` is entered next. */
  ask(lines: readonly string[], then: () => Promise<void>): void;
  end(): void;
}

/** Runs a command; says so where there is none of that name. */
export async function runCommand(host: CommandHost, command: TypedCommand): Promise<void> {
  const { name, words } = command;
  switch (name) {
    case "help":
      return host.say(helpLines(host));
    case "list":
      await host.open(null);
      return host.talks.refresh();
    case "open":
      return open(host, words.join(" "));
    case "new":
      return begin(host, words);
    case "group":
      return makeGroup(host, words);
    case "history":
      return needTalk(host) === null ? undefined : host.older();
    case "who":
      return tellWho(host);
    case "trust":
      return trust(host, words);
    case "edit":
      return edit(host, words.join(" "));
    case "delete":
      return remove(host);
    case "react":
      return react(host, words);
    case "block":
    case "unblock":
      return setBlock(host, words, name);
    case "report":
      return report(host, words);
    case "yes":
      return host.say(["There is nothing to say yes to"]);
    case "signout":
      await host.client.api.signOut();
      await host.profile.forgetSession();
      return host.end();
    default:
      return host.say([`There is no command /${name}: /help shows those there are`]);
  }
}

function helpLines({ profile }: CommandHost): string[] {
  const width = Math.max(...HELP.map(([usage]) => usage.length));
  return [
    ...HELP.map(([usage, does]) => `${usage.padEnd(width)}  ${does}`),
    "Anything else is a message; // begins one with a slash. Your key and session:",
    profile.path,
  ];
}

async function open(host: CommandHost, words: string): Promise<void> {
  if (words === "") return host.say(["Say which: /open NAME"]);
  const known = host.talks.find(words);
  if (known === undefined) await host.talks.refresh();
  const talk = known ?? host.talks.find(words);
  if (talk === undefined)
    return host.say([`There is no conversation called ${words}: /list shows all, /new NAME begins one`]);
  await host.open(talk);
}

async function begin(host: CommandHost, words: readonly string[]): Promise<void> {
  const [name] = words;
  if (name === undefined) return host.say(["Say with whom: /new NAME"]);
  const [found] = await findAll(host, [name]);
  if (found === undefined) return;
  if (found.id === host.client.session.userId) return host.say(["That is you: choose somebody else"]);
  const made = await host.client.api.createConversation({ conversation_type: "dm", participant_ids: [found.id] });
  await host.open(host.talks.learn(made));
}

async function makeGroup(host: CommandHost, words: readonly string[]): Promise<void> {
  const [name, ...members] = words;
  if (name === undefined || members.length === 0) return host.say(["Say its name and who is in it: /group NAME a b c"]);
  const found = await findAll(host, members);
  if (found.length < members.length) return;
  const participants = { participant_ids: found.map(({ id }) => id) };
  const made = await host.client.api.createConversation({ conversation_type: "group", name, ...participants });
  await host.open(host.talks.learn(made));
}

/** The people of these names; says who was not found, and gives the others. */
async function findAll(host: CommandHost, names: readonly string[]): Promise<User[]> {
  const found: User[] = [];
  for (const name of names) {
    const user = await host.people.find(name);
    if (user === undefined) host.say([`Nobody called ${name} lets themselves be found`]);
    else found.push(user);
  }
  return found;
}

async function tellWho(host: CommandHost): Promise<void> {
  const talk = needTalk(host);
  if (talk === null) return;
  const { participant_ids: ids, participant_count: count } = talk.conversation;
  const lines = await Promise.all(
    ids.slice(0, 50).map(async (id) => `${await host.people.nameOnceKnown(id)}  ${await keyText(host, id)}`),
  );
  const rest = count > lines.length ? [`and ${count - lines.length} more`] : [];
  host.say([...lines, ...rest]);
}

async function keyText(host: CommandHost, id: AccountId): Promise<string> {
  try {
    return `key ${grouped((await host.client.api.publicKey(id)).fingerprint)}`;
  } catch (error) {
    if (error instanceof SottoError && error.code === "not_found") return "no key";
    throw error;
  }
}

async function trust(host: CommandHost, words: readonly string[]): Promise<void> {
  const [name] = words;
  const user = name === undefined ? undefined : await host.people.find(name);
  if (name === undefined || user === undefined) return host.say(["Say whose key: /trust NAME"]);
  const { public_key: key } = await host.client.api.publicKey(user.id);
  const fingerprint = await fingerprintOf(key);
  await host.client.trustKey(user.id, fingerprint);
  host.say([`From now on ${name} has the key ${grouped(fingerprint)}`]);
}

async function edit(host: CommandHost, text: string): Promise<void> {
  const found = lastMessage(host, "own");
  if (text === "") return host.say(["Say the new text: /edit TEXT"]);
  if (found !== undefined) await host.client.edit(found.conversationId, found.item.id, text);
}

async function remove(host: CommandHost): Promise<void> {
  const found = lastMessage(host, "own");
  if (found !== undefined) await host.client.deleteForAll(found.conversationId, found.item.id);
}

async function react(host: CommandHost, [emoji]: readonly string[]): Promise<void> {
  const found = lastMessage(host, "others");
  if (emoji === undefined) return host.say(["Say with what: /react EMOJI"]);
  if (found === undefined) return;
  const { conversationId, item } = found;
  const self = host.client.session.userId;
  const isThere = item.reactions.some((reaction) => reaction.who === self && reaction.emoji === emoji);
  if (isThere) await host.client.unreact(conversationId, item.id, emoji);
  else await host.client.react(conversationId, item.id, emoji);
}

async function setBlock(host: CommandHost, [name]: readonly string[], change: "block" | "unblock"): Promise<void> {
  const user = name === undefined ? undefined : await host.people.find(name);
  if (name === undefined) return host.say([`Say whom: /${change} NAME`]);
  // Who does not let themselves be found may be in the list of those who are blocked.
  const found = user ?? (change === "unblock" ? await findBlocked(host, name) : undefined);
  if (found === undefined) return host.say([`Nobody called ${name} lets themselves be found`]);
  await host.client.api[change](found.id);
  const what = change === "block" ? "is blocked, and is not told" : "is blocked no longer";
  host.say([`${found.username} ${what}`]);
}

async function findBlocked(host: CommandHost, name: string): Promise<User | undefined> {
  const { users } = await host.client.api.blocked({ limit: 100 });
  return users.find((user) => sameName(user.username, name));
}

/** The last message here of oneself, or of others; says so where there is none. */
function lastMessage(host: CommandHost, of: "own" | "others") {
  const talk = needTalk(host);
  if (talk === null) return undefined;
  const self = host.client.session.userId;
  const isWanted = (senderId: AccountId) => (senderId === self) === (of === "own");
  const item = talk.timeline.items
    .filter((each) => each.kind === "message")
    .findLast(({ senderId }) => isWanted(senderId));
  if (item === undefined) host.say([`There is no message ${of === "own" ? "of yours" : "of others"} here`]);
  return item === undefined ? undefined : { conversationId: talk.conversation.id, item };
}

/** Sixteen bytes of a fingerprint in groups that can be read aloud: nobody makes a second key with the same. */
function grouped(fingerprint: string): string {
  return fingerprint.slice(0, 32).match(/.{4}/g)?.join(" ") ?? fingerprint;
}

function needTalk(host: CommandHost): Talk | null {
  if (host.talk === null) host.say(["Open a conversation first: /open NAME"]);
  return host.talk;
}
