/** `/report`: what would be shown to administrators stands on the screen first, and is sent after `/yes`. */
import { ReportReason } from "../protocol/mod.ts";
import type { CommandHost } from "./chat_commands.ts";
import { clockText } from "./clock_text.ts";
import { fit } from "./text_layout.ts";
import type { Item } from "./timeline.ts";

type Message = Extract<Item, { kind: "message" }>;

const MOST_MESSAGES = 10;
/** Cells of a line that names a message. */
const WIDTH = 76;
const USAGE = `Say why: /report [N] ${ReportReason.options.join("|")} [what you say of it]`;

/** Reports who wrote the last message of others here, with their last N messages: 1 unless said otherwise, 0 for none. */
export async function report(host: CommandHost, words: readonly string[]): Promise<void> {
  const { talk, client } = host;
  if (talk === null) return host.say(["Open a conversation first: /open NAME"]);
  const { count, reason, note } = readWords(words);
  if (reason === undefined) return host.say([USAGE]);
  if (count > MOST_MESSAGES) return host.say([`Choose at most ${MOST_MESSAGES} messages`]);
  const others = talk.timeline.items.filter(
    (item): item is Message => item.kind === "message" && item.senderId !== client.session.userId,
  );
  const user = others.at(-1)?.senderId;
  if (user === undefined) return host.say(["There is no message of others here"]);
  const messages = count === 0 ? [] : others.filter(({ senderId }) => senderId === user).slice(-count);
  const name = await host.people.nameOnceKnown(user);
  const { id: conversation } = talk.conversation;
  host.ask(preview(name, { reason, note, messages }), async () => {
    await client.report({ user, conversation, reason, note, messages });
    host.say([`Reported. ${name} is not told; /block ${name} keeps them away from you`]);
  });
}

function readWords(words: readonly string[]) {
  const [first = "", ...rest] = words;
  const isCount = /^\d{1,3}$/.test(first);
  const [why, ...more] = isCount ? rest : words;
  const text = more.join(" ");
  return {
    count: isCount ? Number(first) : 1,
    reason: ReportReason.safeParse(why?.toLowerCase()).data,
    note: text === "" ? undefined : text,
  };
}

function preview(
  name: string,
  of: { readonly reason: string; readonly note: string | undefined; readonly messages: readonly Message[] },
): string[] {
  const { reason, note, messages } = of;
  return [
    `The server's administrators would learn: you report ${name} for ${reason}`,
    ...(note === undefined ? [] : [`and say of it: ${note}`]),
    messages.length === 0 ? "and show no message." : "and show, unencrypted and in full:",
    ...messages.map(({ at, text }) =>
      fit(`  ${clockText(at)} ${(text ?? "(a message that cannot be read here)").replaceAll("\n", " ")}`, WIDTH),
    ),
    "/yes sends it. Anything else does not.",
  ];
}
