/** One conversation's log as lines. */
import type { ChatScene } from "./chat_scene.ts";
import { cleanName } from "./clean_text.ts";
import { headOf, indented, type LogLines, layOut, remark, textLines } from "./entry_lines.ts";
import { explain } from "./explain.ts";
import type { People } from "./people.ts";
import type { Talk } from "./talk.ts";
import { type Line, line, type Span, type Tone } from "./text_layout.ts";
import type { Item, ItemReaction } from "./timeline.ts";

const DRAFT_MARKS = { keeping: "…", waiting: "waiting", stored: "sent" } as const;
const DAY_S = 24 * 60 * 60;
/** People who are named beside one emoji. */
const MOST_NAMED = 5;

/** At least `count` lines from the end of a conversation's log, where there are as many. */
export function logLines(
  scene: ChatScene,
  talk: Talk,
  want: { readonly count: number; readonly width: number },
): LogLines {
  const { count, width } = want;
  const { items, older, isLoaded } = talk.timeline;
  const above = older === null ? [] : [line("  older messages: /history", "dim")];
  return layOut(items, (item) => itemLines(scene, { talk, item, width }), {
    above: isLoaded ? above : [line("  loading …", "dim")],
    below: unsentLines(scene, talk, width),
    count,
    width,
  });
}

/** What was typed and is not in the log: on its way, or refused. */
function unsentLines(scene: ChatScene, talk: Talk, width: number): Line[] {
  const { id } = talk.conversation;
  const own = (text: string, tail: Span) =>
    textLines(headOf(scene.self, { at: null, isOwn: true }), { text, width, tail });
  return [
    ...scene.drafts
      .shown(id, (messageId) => talk.timeline.has(messageId))
      .flatMap(({ text, state }) => own(text, { text: DRAFT_MARKS[state], tone: "dim" })),
    ...scene.drafts
      .failed(id)
      .flatMap(({ draft, error }) => own(draft.text, { text: `not sent: ${explain(error)}`, tone: "warn" })),
  ];
}

function itemLines(
  scene: ChatScene,
  { talk, item, width }: { readonly talk: Talk; readonly item: Item; readonly width: number },
): Line[] {
  const { people } = scene;
  const isOwn = item.senderId === scene.selfId;
  const head = headOf(people.name(item.senderId), { at: item.at, isOwn });
  const aside = (text: string, tone: Tone = "dim") => textLines(head, { text: `(${text})`, width, tone });
  switch (item.kind) {
    case "message": {
      if (item.expiresAt !== null && item.expiresAt <= scene.now) return aside("expired");
      if (item.fault !== null) return aside(`not to be trusted: ${item.fault}`, "warn");
      if (item.text === null) return aside("encrypted: this client has no key for it");
      const tail = [...(item.isEdited ? ["edited"] : []), ...(isOwn ? [talk.markOf(item)] : [])].join(" · ");
      const body = { text: item.text, width, ...(tail === "" ? {} : { tail: { text: tail } }) };
      return [...textLines(head, body), ...reactionLines(people, item.reactions, width)];
    }
    case "gone":
      return aside(item.reason === "hidden" ? "deleted for you" : item.reason);
    case "membership":
      return remark(membershipText(people, item), width, "dim");
    case "change":
      return changeTexts(people, item).flatMap((text) => remark(text, width, "dim"));
    case "new_key":
      return remark(`${people.name(item.who)} has a new key, ${item.fingerprint.slice(0, 16)}…`, width, "warn");
  }
}

/** Who reacted with what, one emoji after the other. */
function reactionLines(people: People, reactions: readonly ItemReaction[], width: number): Line[] {
  const byEmoji = Map.groupBy(reactions, ({ emoji }) => emoji);
  const parts = Array.from(byEmoji, ([emoji, all]) => {
    const names = all.slice(0, MOST_NAMED).map(({ who }) => people.name(who));
    const rest = all.length > MOST_NAMED ? [`${all.length - MOST_NAMED} more`] : [];
    return `${cleanName(emoji)} ${[...names, ...rest].join(", ")}`;
  });
  return parts.length === 0 ? [] : indented(parts.join("  "), width, "dim");
}

function changeTexts(people: People, item: Extract<Item, { kind: "change" }>): string[] {
  const sender = people.name(item.senderId);
  const { name, user_id: who, role, settings } = item.change;
  const seconds = settings?.retention_seconds;
  return [
    ...(name === undefined ? [] : [`${sender} named it ${cleanName(name)}`]),
    ...(who === undefined || role === undefined ? [] : [`${sender} made ${people.name(who)} ${role}`]),
    ...(seconds === undefined ? [] : [`${sender} says how long messages live: ${lifeText(seconds)}`]),
  ];
}

function lifeText(seconds: number | null): string {
  if (seconds === null) return "until they are deleted";
  return seconds >= DAY_S ? `${Math.round(seconds / DAY_S)} days` : `${seconds} s`;
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
