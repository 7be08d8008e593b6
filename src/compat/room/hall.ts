/**
 * The sockets of the room at this node: what comes in goes to the speaker, what is said (`tail`) and who
 * comes and goes (`roster`) goes out to all of them, encoded once.
 *
 *   attached ──room made, feed live, session alive, name known──▶ admitted ──▶ gone
 *
 * - Opened by the first socket of the node, and open from then on.
 * - A socket is shown what is stored after it was admitted. What was before is history, over HTTP.
 * - Who does not read is cut (`session.ts`) and loses nothing: history has it.
 */

import type { SentMessage } from "../../conversations/mod.ts";
import {
  type AccountId,
  type ClientFrame,
  contentOf,
  DomainError,
  LIMITS,
  type SessionEnd,
  type SessionId,
} from "../../protocol/mod.ts";
import type { Annex, AnnexPorts, Hint, Session } from "../../realtime/mod.ts";
import { type PresenceFrame, roomCodec, type StoredFrame } from "./frames.ts";
import { KEEPER } from "./keeper.ts";
import type { Names } from "./names.ts";
import { Roster, readRosterMessage } from "./roster.ts";
import type { Saying } from "./speaker.ts";
import { type SaidFrame, Tail, type TailOptions } from "./tail.ts";

/** What a {@link Hall} is made of. */
export interface HallOptions {
  readonly ports: AnnexPorts;
  readonly conversations: TailOptions["conversations"];
  readonly names: Names;
  /** Makes the room, unless it is there. */
  readonly make: () => Promise<void>;
  readonly say: (saying: Saying) => Promise<SentMessage>;
  /** Why sessions are over, by the database; those that live are missing. */
  readonly sessionEnds: (ids: readonly SessionId[]) => Promise<ReadonlyMap<SessionId, SessionEnd>>;
  /** Milliseconds since the epoch. */
  readonly date: () => number;
  readonly onFault: (error: unknown) => void;
}

interface Guest {
  readonly accountId: AccountId;
  readonly sessionId: SessionId;
  /** Gives their name; rejects where they cannot be admitted. */
  readonly admission: Promise<string>;
  admitted: boolean;
  inFlight: number;
  draining: boolean;
}

const COMPARE_MS = 60_000;

/** See the head of this file. */
export class Hall implements Annex, AsyncDisposable {
  readonly account = KEEPER;
  readonly codec = roomCodec;
  readonly #options: HallOptions;
  readonly #guests = new Map<Session, Guest>();
  /** Sockets by session. */
  readonly #sockets = new Map<SessionId, number>();
  readonly #tail: Tail;
  readonly #roster: Roster;
  #opening: Promise<void> | undefined;
  #open = false;
  #comparedAt: number;

  constructor(options: HallOptions) {
    this.#options = options;
    const { ports, conversations, names, onFault } = options;
    const { now } = ports;
    this.#comparedAt = now();
    this.#tail = new Tail({
      ...{ conversations, onFault, now },
      nameOf: (id) => names.known(id),
      findNames: async (ids) => void (await Promise.all(ids.map((id) => names.find(id)))),
      show: (said, username) => this.#showMessage(said, username),
    });
    this.#roster = new Roster({
      node: ports.node,
      now,
      send: (message) => ports.signal(JSON.stringify(message)),
      show: (change, username, age) => this.#showPresence(change, username, age),
    });
  }

  attach(session: Session): boolean {
    const { accountId, sessionId } = session.principal;
    const sockets = this.#sockets.get(sessionId) ?? 0;
    if (sockets >= LIMITS.socketsPerSession) {
      session.close("too_many_sockets");
      return true;
    }
    this.#sockets.set(sessionId, sockets + 1);
    const admission = this.#mayEnter(session);
    const guest: Guest = { accountId, sessionId, admission, admitted: false, inFlight: 0, draining: false };
    this.#guests.set(session, guest);
    admission.then(
      (username) => this.#admit(session, guest, username),
      (error) => this.#turnAway(session, error),
    );
    return true;
  }

  detach(session: Session): void {
    const guest = this.#guests.get(session);
    if (guest === undefined) return;
    this.#guests.delete(session);
    const others = (this.#sockets.get(guest.sessionId) ?? 1) - 1;
    if (others > 0) this.#sockets.set(guest.sessionId, others);
    else this.#sockets.delete(guest.sessionId);
    if (guest.admitted) this.#roster.left(guest.accountId);
  }

  frame(session: Session, frame: ClientFrame): void {
    const guest = this.#guests.get(session);
    if (guest === undefined) return;
    if (frame.type === "ping") {
      session.sendFrame({ type: "pong", ...(frame.ref === undefined ? {} : { ref: frame.ref }) });
    } else if (frame.type === "message") this.#say(session, guest, frame);
  }

  told(hint: Hint): void {
    if (hint.type === "event") this.#tail.hint(hint.conversationId, hint.seq, hint);
    else if (hint.type === "doorbell") this.#tail.hint(hint.conversationId, hint.seq);
    else if (hint.type === "signal") {
      const message = readRosterMessage(hint.text);
      if (message !== null) this.#roster.receive(message);
    }
  }

  ended(_: AccountId, sessionIds: readonly SessionId[], reason: SessionEnd | undefined): void {
    for (const [session, { sessionId }] of this.#guests) {
      if (sessionIds.includes(sessionId)) session.close(reason ?? "session_ended");
    }
  }

  drain(session: Session): void {
    const guest = this.#guests.get(session);
    if (guest === undefined) return session.close("draining");
    guest.draining = true;
    this.#closeIfDrained(session, guest);
  }

  doubt(): void {
    if (this.#open) this.#tail.compare();
  }

  check(): void {
    this.#tail.retry();
    if (!this.#open) return;
    this.#roster.check();
    const { ports, onFault } = this.#options;
    const now = ports.now();
    if (!ports.healthy || now - this.#comparedAt >= COMPARE_MS) this.#tail.compare();
    if (now - this.#comparedAt < COMPARE_MS) return;
    this.#comparedAt = now;
    this.#closeEnded([...this.#guests.keys()]).catch(onFault);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#roster.end();
    await this.#options.ports.unregister();
  }

  /** Opens the room for this node, once; tried again where it failed. */
  #enter(): Promise<void> {
    this.#opening ??= this.#openRoom().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async #openRoom(): Promise<void> {
    const { make, ports, onFault } = this.#options;
    await make();
    // Hints first, then the log, as for user actors. Without a directory the comparison finds what is said.
    await ports.register().catch(onFault);
    await this.#tail.begin();
    this.#open = true;
    this.#roster.begin(
      await ports.others().catch((error: unknown) => {
        onFault(error);
        return [];
      }),
    );
  }

  async #mayEnter(session: Session): Promise<string> {
    await this.#enter();
    // A session that ended while its socket was being opened was told to nobody here.
    await this.#closeEnded([session]);
    return this.#options.names.find(session.principal.accountId);
  }

  #admit(session: Session, guest: Guest, username: string): void {
    if (!this.#guests.has(session)) return;
    guest.admitted = true;
    // Who showed a token by a frame waits for the answer; to all others every frame is the contract's.
    if (session.origin.principal === null) session.welcome();
    this.#roster.arrived(guest.accountId, username);
  }

  #turnAway(session: Session, error: unknown): void {
    this.#options.onFault(error);
    session.close("unavailable");
  }

  async #closeEnded(sessions: readonly Session[]): Promise<void> {
    const ends = await this.#options.sessionEnds(sessions.map(({ principal }) => principal.sessionId));
    for (const session of sessions) {
      const end = ends.get(session.principal.sessionId);
      if (end !== undefined) session.close(end);
    }
  }

  #say(session: Session, guest: Guest, frame: Extract<ClientFrame, { type: "message" }>): void {
    if (guest.draining) return session.refuse(frame, new DomainError("unavailable"));
    if (guest.inFlight >= LIMITS.sendsInFlight) return session.refuse(frame, new DomainError("too_many_in_flight"));
    guest.inFlight++;
    this.#store(session, guest, frame)
      .catch((error) => session.refuse(frame, error))
      .finally(() => {
        guest.inFlight--;
        this.#closeIfDrained(session, guest);
      });
  }

  /** Nothing is stored of who is not there yet to see it, nor of who may not enter. */
  async #store(session: Session, guest: Guest, frame: Extract<ClientFrame, { type: "message" }>): Promise<void> {
    const { id, ref } = frame;
    await guest.admission;
    const { delivery } = await this.#options.say({
      senderId: guest.accountId,
      id,
      content: contentOf(frame).content ?? "",
    });
    // It was shown when it was stored: only who repeats it is told.
    if (!delivery.stored) session.send(JSON.stringify({ type: "stored", ref, id } satisfies StoredFrame));
  }

  #closeIfDrained(session: Session, guest: Guest): void {
    if (guest.draining && guest.inFlight === 0) session.close("draining");
  }

  #showMessage({ id, content = "", created_at }: SaidFrame, username: string): void {
    this.#toAll(JSON.stringify({ type: "message", id, username, content, timestamp: created_at }));
  }

  #showPresence(type: PresenceFrame["type"], username: string, age: number): void {
    const timestamp = new Date(this.#options.date() - age).toISOString();
    this.#toAll(JSON.stringify({ type, username, timestamp } satisfies PresenceFrame));
  }

  #toAll(text: string): void {
    for (const [session, { admitted }] of this.#guests) if (admitted) session.send(text);
  }
}
