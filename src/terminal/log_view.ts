/** One conversation's log as lines. Nobody can write what looks like the head of a line: what follows is indented. */

import type { ChatScene } from "./chat_scene.ts";
import { cleanText } from "./clean_text.ts";
import { clockText, dayText } from "./clock_text.ts";
import { explain } from "./explain.ts";
import type { People } from "./people.ts";
import type { Talk } from "./talk.ts";
import { fit, type Line, line, type Span, type Tone, widthOf, widthOfLine, wrap } from "./text_layout.ts";
import type { Item } from "./timeline.ts";

/** The last lines of a log. */
export interface LogLines {
  readonly lines: readonly Line[];
  /** Whether nothing of what is known is left out above. */
  readonly isWhole: boolean;
}

const INDENT = 6;
/** Cells of a name before a message. */
const MOST_OF_A_NAME = 24;

/** At least `count` lines from the end, where there are as many: entries, and a line wherever a day begins. */
export function logLines(
  scene: ChatScene,
  talk: Talk,
  want: { readonly count: number; readonly width: number },
): LogLines {
  const { count, width } = want;
  const { items, older, isLoaded } = talk.timeline;
  // From below upwards: of a long log only the end is laid out.
  const below = unsentLines(scene, talk, width);
  const blocks: (readonly Line[])[] = [below];
  let laidOut = below.length;
  for (const [at, item] of [...items.entries()].reverse()) {
    if (laidOut >= count) return { lines: blocks.toReversed().flat(), isWhole: false };
    const before = items[at - 1];
    const isNewDay = before === undefined || dayText(before.at) !== dayText(item.at);
    const block = [...(isNewDay ? [dayLine(item.at, width)] : []), ...itemLines(scene, { talk, item, width })];
    blocks.push(block);
    laidOut += block.length;
  }
  if (!isLoaded) blocks.push([line("  loading …", "dim")]);
  else if (older !== null) blocks.push([line("  older messages: /history", "dim")]);
  return { lines: blocks.toReversed().flat(), isWhole: true };
}

/** What was typed and is not in the log: on its way, or refused. */
function unsentLines(scene: ChatScene, talk: Talk, width: number): Line[] {
  const { id } = talk.conversation;
  const own = (clock: string, text: string, tail: Span) =>
    textLines(
      [
        { text: `${clock} `, tone: "dim" },
        { text: `${scene.self} `, tone: "accent" },
      ],
      { text, width, tail },
    );
  return [
    ...scene.drafts
      .shown(id, (messageId) => talk.timeline.has(messageId))
      .flatMap(({ text, isStored }) => own(" ... ", text, { text: isStored ? "sent" : "waiting", tone: "dim" })),
    ...scene.drafts
      .failed(id)
      .flatMap(({ draft, error }) => own(" --- ", draft.text, { text: `not sent: ${explain(error)}`, tone: "warn" })),
  ];
}

function itemLines(
  scene: ChatScene,
  { talk, item, width }: { readonly talk: Talk; readonly item: Item; readonly width: number },
): Line[] {
  const { people } = scene;
  const clock = clockText(item.at);
  const sender = fit(people.name(item.senderId), MOST_OF_A_NAME);
  const isOwn = item.senderId === scene.selfId;
  const head: Line = [
    { text: `${clock} `, tone: "dim" },
    { text: `${sender} `, tone: isOwn ? "accent" : "strong" },
  ];
  const aside = (text: string, tone: Tone = "dim") => textLines(head, { text: `(${text})`, width, tone });
  switch (item.kind) {
    case "message": {
      if (item.expiresAt !== null && item.expiresAt <= scene.now) return aside("expired");
      if (item.fault !== null) return aside(`not to be trusted: ${item.fault}`, "warn");
      if (item.text === null) return aside("encrypted: this client has no key for it");
      const tail = isOwn ? { tail: { text: talk.markOf(item), tone: "dim" } as const } : {};
      return textLines(head, { text: item.text, width, ...tail });
    }
    case "gone":
      return aside(item.reason);
    case "membership":
      return remark(membershipText(people, item), width, "dim");
    case "new_key":
      return remark(`${people.name(item.who)} has a new key, ${item.fingerprint.slice(0, 16)}…`, width, "warn");
  }
}

/** What nobody said, indented and with a dash. */
function remark(text: string, width: number, tone: Tone): Line[] {
  return wrap(`— ${text}`, width - INDENT).map((each) => line(" ".repeat(INDENT) + each, tone));
}

/** A head, the text after it, and the lines that follow indented: nobody can write what looks like a head. */
function textLines(
  head: Line,
  body: { readonly text: string; readonly width: number; readonly tone?: Tone; readonly tail?: Span },
): Line[] {
  const { width, tone = "plain", tail } = body;
  const taken = widthOfLine(head) - INDENT;
  const wrapped = wrap(cleanText(body.text), width - INDENT, taken);
  const lines = wrapped.map((text, row): Span[] =>
    row === 0 ? [...head, { text, tone }] : [{ text: " ".repeat(INDENT) }, { text, tone }],
  );
  const last = lines.at(-1);
  if (tail === undefined || last === undefined) return lines;
  const used = widthOfLine(last);
  const mark = { text: fit(`  · ${tail.text}`, width - INDENT), tone: tail.tone ?? "dim" };
  if (used + widthOf(mark.text) <= width) last.push(mark);
  else lines.push([{ text: " ".repeat(INDENT) }, mark]);
  return lines;
}

function membershipText(people: People, item: Extract<Item, { kind: "membership" }>): string {
  const who = item.who.map((id) => people.name(id)).join(", ");
  const sender = people.name(item.senderId);
  switch (item.change) {
    case "created":
      return `${sender} began this conversation`;
    case "joined":
      return item.who.length === 1 && item.who[0] === item.senderId ? `${who} joined` : `${sender} added ${who}`;
    case "left":
      return `${who} left`;
    default:
      return `${sender} removed ${who}`;
  }
}

function dayLine(at: number, width: number): Line {
  const text = ` ${dayText(at)} `;
  const side = "─".repeat(Math.max(0, Math.floor((width - text.length) / 2)));
  return line(fit(`${side}${text}${side}`, width), "dim");
}
