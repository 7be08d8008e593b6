/** The chat as a frame. It decides nothing and changes nothing. */
import type { ConnectionStatus } from "../client/mod.ts";
import type { Encryption } from "../protocol/mod.ts";
import type { ChatScene } from "./chat_scene.ts";
import { whenText } from "./clock_text.ts";
import { blank, type Part, partOf } from "./entry_lines.ts";
import type { Frame, Size } from "./frame.ts";
import { logLines } from "./log_view.ts";
import type { Talk } from "./talk.ts";
import { column, fit, type Line, line, spread, type Tone, widthOfLine, wrap } from "./text_layout.ts";

const PROMPT = "> ";

/** The frame for a scene, and how far one could scroll at most. */
export function chatFrame(scene: ChatScene, size: Size): { readonly frame: Frame; readonly mostScroll: number } {
  const { columns: width, rows } = size;
  const below = [...noticeLines(scene.notice, width).slice(0, rows - 2), ...typingLines(scene, width)];
  const room = { width, rows: rows - below.length };
  const { lines, mostScroll } = scene.talk === null ? listPart(scene, room) : logPart(scene, scene.talk, room);
  const frame = {
    title: titleLine(scene, width),
    body: [...lines, ...below],
    status: statusLine(scene, width),
    prompt: { label: PROMPT, typed: scene.typed(width - PROMPT.length - 1) },
  };
  return { frame, mostScroll };
}

/** The list begins at the top; scrolled is downwards. */
function listPart(scene: ChatScene, { width, rows }: { readonly width: number; readonly rows: number }): Part {
  const lines = listLines(scene, width);
  const shown = lines.slice(scene.scroll, scene.scroll + rows);
  return { lines: [...shown, ...blank(rows - shown.length)], mostScroll: Math.max(0, lines.length - rows) };
}

function logPart(scene: ChatScene, talk: Talk, room: { readonly width: number; readonly rows: number }): Part {
  const { scroll } = scene;
  return partOf(logLines(scene, talk, { count: room.rows + scroll, width: room.width }), { scroll, rows: room.rows });
}

/** The answers to a command, as lines. */
export function noticeLines(notice: readonly string[], width: number): Line[] {
  return notice.flatMap((text) => wrap(text, width - 2)).map((text) => line(`  ${text}`, "accent"));
}

/** How the connection is, in words. */
export function connectionText(status: ConnectionStatus, now: number): string {
  switch (status.state) {
    case "idle":
      return "not connected";
    case "connecting":
      return status.attempt === 0 ? "connecting" : "reconnecting";
    case "authenticating":
      return "connecting";
    case "catching_up":
      return "catching up";
    case "live":
      return "connected";
    case "waiting":
      return `reconnecting in ${Math.max(1, Math.ceil((status.untilMs - now) / 1_000))} s`;
    case "stopped":
      return `signed out (${status.reason.code}): /quit, and start again to sign in`;
  }
}

/** How a conversation is protected, in words. */
export function encryptionText(encryption: Encryption): string {
  switch (encryption) {
    case "opaque":
      return "end-to-end encrypted with PEM keys";
    case "server":
      return "the server can read this (server)";
    case "mls":
      return "end-to-end encrypted (mls): not readable here yet";
  }
}

function titleLine(scene: ChatScene, width: number): Line {
  const { talk, talks } = scene;
  const others = talks.list.filter((each) => each !== talk && each.unread > 0).length;
  const news: Line = talk === null || others === 0 ? [] : line(`${others} with news (/list)`, "accent");
  if (talk === null) return spread(`Sotto · ${scene.self} at ${scene.server.replace(/^https?:\/\//, "")}`, [], width);
  const { conversation_type: type, participant_count: count } = talk.conversation;
  const title = type === "dm" ? talks.title(talk) : `${talks.title(talk)} · ${type} of ${count}`;
  return spread(title, news, width);
}

function statusLine(scene: ChatScene, width: number): Line {
  const { talk, status } = scene;
  const waiting = scene.drafts.count;
  const right: Line = waiting === 0 ? line("/help", "dim") : line(`${waiting} waiting to be sent`, "warn");
  const isUp = status.state === "live" || status.state === "catching_up";
  const parts = [
    connectionText(status, scene.now),
    ...(talk === null ? [] : [encryptionText(talk.conversation.encryption)]),
  ];
  const rightWidth = widthOfLine(right);
  return [
    { text: column(parts.join(" · "), width - rightWidth - 1), tone: isUp ? "dim" : "warn" },
    { text: " " },
    ...right,
  ];
}

/** One line that is always there in a conversation, so that nothing moves when somebody types. */
function typingLines({ people, talk, now }: ChatScene, width: number): Line[] {
  if (talk === null) return [];
  const names = talk.typing(now).map((who) => people.name(who));
  if (names.length === 0) return [[]];
  const who = names.length > 3 ? `${names.length} people` : names.join(", ");
  return [line(fit(`${who} ${names.length === 1 ? "is" : "are"} typing …`, width), "dim")];
}

function listLines(scene: ChatScene, width: number): Line[] {
  const { list } = scene.talks;
  if (list.length === 0) return [[], line("  No conversations yet. /new NAME begins one.", "dim")];
  const nameWidth = Math.max(10, width - 50);
  return list.map((talk, index) => {
    const name = column(scene.talks.title(talk), nameWidth);
    const unread = talk.unread === 0 ? "" : `${talk.unread > 99 ? "99+" : talk.unread} new`;
    const tone: Tone = talk.unread === 0 ? "plain" : "strong";
    return [
      { text: `${String(index + 1).padStart(4)}  ` },
      { text: name, tone },
      { text: column(` ${unread}`, 9), tone: "accent" },
      { text: column(whenText(talk.lastActivity, scene.now), 13), tone: "dim" },
      { text: fit(shortEncryption(talk.conversation.encryption), Math.max(0, width - nameWidth - 29)), tone: "dim" },
    ];
  });
}

function shortEncryption(encryption: Encryption): string {
  return encryption === "server" ? "the server can read" : "end-to-end";
}
