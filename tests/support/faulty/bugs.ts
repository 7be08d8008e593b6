/**
 * Bugs that a server of this kind may have, put into the real one from outside: each replaces a method
 * of the spine, of the log or of what they stand on. Nothing of this is known to the program itself.
 *
 * They exist so that the checker can be seen to catch them, each by what a client is told.
 */
import pg from "pg";
import { createClient } from "redis";
import { CursorWriter } from "../../../src/conversations/cursors.ts";
import type { Appended, AppendRequest } from "../../../src/conversations/event_log.ts";
import { Heads } from "../../../src/conversations/heads.ts";
import { type AppendOutcome, Lane } from "../../../src/conversations/lane.ts";
import { PageReader } from "../../../src/conversations/page_reader.ts";
import type { AccountId, LogEntry } from "../../../src/protocol/mod.ts";
import { DeliveredMarks } from "../../../src/realtime/delivered_marks.ts";
import { RENEW } from "../../../src/realtime/directory_scripts.ts";
import { Feed } from "../../../src/realtime/feed.ts";
import { Hub } from "../../../src/realtime/hub.ts";
import { Presence } from "../../../src/realtime/presence.ts";
import { Session } from "../../../src/realtime/session.ts";
import type { SocketPort } from "../../../src/realtime/session_deps.ts";

/** A bug, or `drops frames`: a fault of the sockets that the server has to live with. */
export type Bug = keyof typeof BUGS;

/** Every bug; calling one puts it into this process. */
export const BUGS = {
  "acknowledges before the commit": acknowledgeBeforeCommit,
  "skips an entry when a device comes back": skipOnReturn,
  "stores a repeat as a new message": forgetIds,
  "acknowledges another body under a stored id": acceptOtherBodies,
  "writes two batches of a conversation at once": spreadOverLanes,
  "does not judge members under the lock": trustStaleMembers,
  "takes a dropped frame for sent": () => dropFrames(true),
  "sends events out of order": swapFrames,
  "alters a byte": alterFrames,
  "says nothing after Redis was emptied": forgetDirectory,
  "keeps the sockets of ended sessions": keepEndedSessions,
  "accepts acknowledgements of what was never sent": acceptAnyAcknowledgement,
  "sends what is said to who blocks the sender": forgetBlocks,
  "shows what was deleted": rememberDeleted,
  "tells of more than was acknowledged": tellTooMuch,
  "takes what was given for read": takeGivenForRead,
  "forgets what was read": forgetReads,
  "takes what came before for confirmed": confirmAllBefore,
  "does not look again at what somebody has set": keepOldSettings,
  "tells marks although one blocks the other": tellInSpiteOfBlocks,
  "says at once that somebody has gone": tellGoneAtOnce,
  "shows people to who is no contact": showToStrangers,
  /** No bug: a server that is right ends the socket, and the device comes back for what it missed. */
  "drops frames": () => dropFrames(false),
} as const satisfies Record<string, () => void>;

/** Puts `make(original)` in the place of a method. */
function replace<Target, Name extends keyof Target>(
  prototype: Target,
  name: Name,
  make: (original: Target[Name]) => Target[Name],
): void {
  prototype[name] = make(prototype[name]);
}

/** Around `submit`: `judge` makes the answer, and may append again. */
function aroundAppend(
  judge: (request: AppendRequest, append: (request: AppendRequest) => Promise<AppendOutcome>) => Promise<AppendOutcome>,
): void {
  replace(Lane.prototype, "submit", (original) => {
    return function (this: Lane, request, answer) {
      const append = (given: AppendRequest) =>
        new Promise<AppendOutcome>((resolve) => original.call(this, given, resolve));
      void judge(request, append).then(answer);
    };
  });
}

function isStored(outcome: AppendOutcome): outcome is Appended {
  return outcome.status === "stored" || outcome.status === "known";
}

function acknowledgeBeforeCommit(): void {
  const tops = new Map<string, Appended>();
  aroundAppend((request, append) => {
    const top = tops.get(request.conversationId);
    const stored = append(request).then((outcome) => {
      if (isStored(outcome) && outcome.seq > (tops.get(request.conversationId)?.seq ?? 0))
        tops.set(request.conversationId, outcome);
      return outcome;
    });
    if (top === undefined) return stored;
    const next: Appended = { ...top, status: "stored", seq: top.seq + 1, createdAt: Date.now() };
    tops.set(request.conversationId, next);
    return Promise.resolve(next);
  });
}

function forgetIds(): void {
  aroundAppend(async (request, append) => {
    const outcome = await append(request);
    if (outcome.status !== "known") return outcome;
    return append({ ...request, id: Bun.randomUUIDv7() as AppendRequest["id"] });
  });
}

function acceptOtherBodies(): void {
  const places = new Map<string, Appended>();
  aroundAppend(async (request, append) => {
    const outcome = await append(request);
    if (isStored(outcome)) places.set(request.id, outcome);
    const before = places.get(request.id);
    return outcome.status === "conflict_body" && before !== undefined ? { ...before, status: "known" } : outcome;
  });
}

function trustStaleMembers(): void {
  aroundAppend(async (request, append) => {
    let outcome = await append(request);
    // The version that the log believes is found by trying.
    for (let membersVersion = 1; outcome.status === "not_member" && membersVersion < 50; membersVersion++)
      outcome = await append({ ...request, membersVersion });
    return outcome;
  });
}

function spreadOverLanes(): void {
  const lanes: Lane[] = [];
  let turn = 0;
  replace(Lane.prototype, "submit", (original) => {
    return function (this: Lane, request, answer) {
      if (!lanes.includes(this)) lanes.push(this);
      original.call(lanes[turn++ % lanes.length] ?? this, request, answer);
    };
  });
}

function skipOnReturn(): void {
  replace(PageReader.prototype, "page", (original) => {
    return async function (this: PageReader, request) {
      const page = await original.call(this, request);
      // Only where the device's stored cursor counts: the socket itself would notice a hole.
      if (page === null || request.after !== null || page.entries.length < 2) return page;
      return { ...page, after: page.after + 1, entries: page.entries.slice(1) };
    };
  });
}

/** Of every socket that is opened from here on, `make` says anew how it sends. */
function throughSockets(make: (send: SocketPort["send"]) => SocketPort["send"]): void {
  replace(Hub.prototype, "open", (original) => {
    return function (this: Hub, socket, origin) {
      return original.call(
        this,
        {
          send: make((frames) => socket.send(frames)),
          close: (code, reason) => socket.close(code, reason),
          terminate: () => socket.terminate(),
          ping: () => socket.ping(),
          buffered: () => socket.buffered(),
        },
        origin,
      );
    };
  });
}

function isEvent(text: string): boolean {
  return text.startsWith('{"type":"message"');
}

const DROPPED_EVERY = 60;

/** Drops an event now and then; `told` is what the server believes of it. */
function dropFrames(told: boolean): void {
  let events = 0;
  throughSockets((send) => (frames) => {
    const at = frames.findIndex((text) => isEvent(text) && ++events % DROPPED_EVERY === 0);
    if (at < 0) return send(frames);
    // Bun takes nothing after a frame that it dropped; a server that believes it sent everything goes on.
    return told ? send(frames.toSpliced(at, 1)) : sendBefore(send, frames, at);
  });
}

/** Sends the frames before one that is dropped, and says that one was. */
function sendBefore(send: SocketPort["send"], frames: readonly string[], at: number): false {
  if (at > 0) send(frames.slice(0, at));
  return false;
}

function swapFrames(): void {
  throughSockets((send) => {
    let events = 0;
    let held: string | undefined;
    return (frames) => {
      const swapped = frames.flatMap((text) => {
        if (!isEvent(text)) return [text];
        if (held === undefined) {
          if (++events % 10 !== 0) return [text];
          held = text;
          return [];
        }
        const late = held;
        held = undefined;
        return [text, late];
      });
      return swapped.length === 0 || send(swapped);
    };
  });
}

function alterFrames(): void {
  let events = 0;
  throughSockets((send) => (frames) => {
    const alter = (text: string) =>
      isEvent(text) && ++events % 50 === 0 ? text.replace('"encrypted_content":"', '"encrypted_content":"!') : text;
    return send(frames.map(alter));
  });
}

/** The node takes its lease again and believes that its entries are still there. */
function forgetDirectory(): void {
  let prototype: object = createClient();
  while (!Object.hasOwn(prototype, "sendCommand")) prototype = Object.getPrototypeOf(prototype);
  let renewals = 0;
  replace(
    prototype as { sendCommand: (parts: readonly string[], ...more: unknown[]) => Promise<unknown> },
    "sendCommand",
    (original) => {
      return async function (this: unknown, parts, ...more) {
        const answer = await original.call(this, parts, ...more);
        return parts[0] === "EVAL" && parts[1] === RENEW && renewals++ > 0 ? 1 : answer;
      };
    },
  );
}

function keepEndedSessions(): void {
  replace(Session.prototype, "close", (original) => {
    return function (this: Session, reason) {
      if (reason !== "session_ended") original.call(this, reason);
    };
  });
}

function acceptAnyAcknowledgement(): void {
  replace(Feed.prototype, "acknowledge", (original) => {
    return function (this: Feed, conversationId, seq) {
      return original.call(this, conversationId, seq) || true;
    };
  });
}

/** The tables are right: only who reads is shown what this node read before. */
function rememberDeleted(): void {
  const known = new Map<string, LogEntry>();
  replace(PageReader.prototype, "entries", (original) => {
    return async function (this: PageReader, id, rows) {
      const entries = await original.call(this, id, rows);
      return entries.map((entry) => {
        const key = `${id} ${entry.id}`;
        if (entry.kind !== "tombstone") known.set(key, entry);
        return known.get(key) ?? entry;
      });
    };
  });
}

function tellTooMuch(): void {
  replace(DeliveredMarks.prototype, "add", (original) => {
    return function (this: DeliveredMarks, account, id, seq) {
      original.call(this, account, id, seq + 1);
    };
  });
}

function takeGivenForRead(): void {
  replace(CursorWriter.prototype, "acknowledge", (original) => {
    return function (this: CursorWriter, cursor) {
      original.call(this, cursor);
      this.read(cursor);
    };
  });
}

function forgetReads(): void {
  replace(CursorWriter.prototype, "read", () => () => {});
}

/** One statement raises the cursor of the account to what is confirmed. */
function confirmAllBefore(): void {
  const prototype = pg.Client.prototype as { query: (...given: unknown[]) => unknown };
  replace(prototype, "query", (original) => {
    return function (this: unknown, ...given) {
      const [query] = given as [{ text?: string } | undefined];
      if (query?.text?.startsWith("insert into confirmations") !== true) return original.apply(this, given);
      const text = "update members set delivered_seq = $3 where conversation = $1 and account = $2";
      return original.call(this, { ...query, text }, ...given.slice(1));
    };
  });
}

function keepOldSettings(): void {
  replace(Presence.prototype, "settingsChanged", () => () => {});
}

/** Statuses on pages and what is withheld do not rest on this. */
function tellInSpiteOfBlocks(): void {
  replace(Heads.prototype, "get", (original) => {
    return async function (this: Heads, id) {
      const head = await original.call(this, id);
      return head === null ? null : { ...head, withheldUpTo: new Map() };
    };
  });
}

/** Whoever this process has seen. */
function everybody(): ReadonlySet<AccountId> {
  const seen = new Set<AccountId>();
  replace(Presence.prototype, "came", (original) => {
    return function (this: Presence, account, socket) {
      seen.add(account);
      original.call(this, account, socket);
    };
  });
  return seen;
}

function tellGoneAtOnce(): void {
  const to = everybody();
  replace(Presence.prototype, "gone", (original) => {
    return function (this: Presence, of, socket) {
      original.call(this, of, socket);
      this.heard({ type: "presence", of, status: "offline", lastSeen: null, to: [...to] });
    };
  });
}

function showToStrangers(): void {
  const to = everybody();
  replace(Presence.prototype, "heard", (original) => {
    return function (this: Presence, hint) {
      original.call(this, { ...hint, to: [...to] });
    };
  });
}

/** The log knows of blocks all the same, so what is read later is right: only what is sent at once is not. */
function forgetBlocks(): void {
  replace(Heads.prototype, "use", (original) => {
    return function (this: Heads, id, then) {
      original.call(this, id, (answer) => {
        if (!("head" in answer) || answer.head === null) return then(answer);
        then({ head: { ...answer.head, withheldUpTo: new Map() } });
      });
    };
  });
}
