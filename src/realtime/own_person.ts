/** Somebody who is connected to this node, or was a moment ago, as `presence.ts` keeps them. */
import type { PersonSettings } from "../people/mod.ts";
import type { ServerFrame, UserStatus } from "../protocol/mod.ts";

/** A socket, as presence needs it. */
export interface PresenceSocket {
  readonly authenticated: boolean;
  /** Whether nothing should be sent now. */
  readonly blocked: boolean;
  sendFrame(frame: ServerFrame): void;
}

/** One socket of somebody. */
export interface OwnSocket {
  readonly socket: PresenceSocket;
  readonly away: boolean;
}

/** See the head of this file. Times are milliseconds of a clock that nobody sets. */
export interface OwnPerson {
  sockets: readonly OwnSocket[];
  settings: PersonSettings | null;
  /** Whether they have set something else since, or may have. */
  stale: "no" | "perhaps" | "yes";
  /** What contacts were told last, by this node or by one that told this one. */
  told: UserStatus | null;
  toldAt: number;
  /** When the last socket went, or `null`. */
  goneAt: number | null;
  /** Why they are looked at sooner than others, and told of even if nothing has changed. */
  chose: boolean;
  back: boolean;
}

/** What somebody chooses is told after this part of the time between two changes. */
const CHOICES = 6;

/** Somebody of whom nothing is known; they count as gone until a socket comes. */
export function newPerson(now: number): OwnPerson {
  return {
    ...{ sockets: [], settings: null, stale: "no", told: null, toldAt: 0 },
    ...{ goneAt: now, chose: false, back: false },
  };
}

/** Whether all devices of somebody say that nobody is at them. */
export function isAway(sockets: readonly OwnSocket[]): boolean {
  return sockets.length > 0 && sockets.every(({ away }) => away);
}

/** When something may be told of somebody. */
export function dueAt({ told, toldAt, goneAt, chose }: OwnPerson, graceMs: number): number {
  const gone = goneAt === null ? 0 : goneAt + graceMs;
  const next = told === null ? 0 : toldAt + (chose ? graceMs / CHOICES : graceMs);
  return Math.max(gone, next);
}

const known = new Map<string, PersonSettings>();

/** Nearly all people have set the same few things: one object for each. */
export function sharedSettings(settings: PersonSettings): PersonSettings {
  const key = `${settings.chosenStatus} ${settings.lastSeenTo} ${settings.readReceipts}`;
  const same = known.get(key);
  if (same !== undefined) return same;
  known.set(key, settings);
  return settings;
}
