/**
 * S6, S7, S8 and S15: what each socket was sent of each log, in the order in which it came.
 *
 *   first ──n──▶ following ──n+1──▶ following
 *                  │    ▲
 *                  │    └── begins anew: `resume`, `resync`
 *                  └── a hole: filled later (S6), below the purge mark (S15), never (S7)
 */
import type { ConversationId } from "../../../src/protocol/mod.ts";
import type { Entry } from "./entry.ts";
import { type Facts, intervalAt, type LogFacts, maySee, type Rule, type Violation } from "./facts.ts";
import type { Connection } from "./history.ts";
import { Standings } from "./standing.ts";

/** Holes longer than this are looked at from their end. */
const MOST_MISSING = 10_000;

/** Sockets of one device in the order of their opening; each begins where the one before left its device. */
export function* streams(facts: Facts): Generator<Violation> {
  const standings = new Standings(facts);
  for (const connections of facts.devices.values()) {
    for (const connection of connections) yield* new SocketStreams(facts, standings, connection).violations();
  }
}

/** Where one socket stands in one log. */
interface Place {
  readonly log: LogFacts;
  /** The highest seq so far, or `null` before the first. */
  top: number | null;
  /** The first one that came on this socket. */
  first: number;
  /** The highest one that the device acknowledged on this socket. */
  acknowledged: number;
  /** Up to here nothing comes again unasked: acknowledged, and certain to be known to the server. */
  kept: number;
  /** Below this nothing will come, the server said. */
  truncated: number;
  /** Where the device said that it stands, for a stream that has not begun anew yet. */
  claim: number | null;
  /** Beginnings anew that are still to be seen; the server begins once for each. */
  anew: number;
  /** The lowest place that the device claimed on this socket: from there everything may come again. */
  lowestClaim: number;
  readonly missing: Set<number>;
}

class SocketStreams {
  readonly #facts: Facts;
  readonly #standings: Standings;
  readonly #connection: Connection;
  readonly #places = new Map<ConversationId, Place>();
  /** Claims and beginnings before a log was first seen. */
  readonly #claims = new Map<ConversationId, number>();
  readonly #lowestClaims = new Map<ConversationId, number>();
  #begun = 0;

  constructor(facts: Facts, standings: Standings, connection: Connection) {
    this.#facts = facts;
    this.#standings = standings;
    this.#connection = connection;
  }

  *violations(): Generator<Violation> {
    for (const event of this.#connection.events) {
      if (this.#facts.refused.has(event)) continue;
      switch (event.type) {
        case "delivered":
          yield* this.#delivered(event.entry, event.at);
          break;
        case "truncated":
          yield* this.#truncated(event.conversation, event.before);
          break;
        case "left":
          this.#passed(event.conversation, event.seq);
          break;
        case "acknowledged": {
          const place = this.#places.get(event.conversation);
          if (place !== undefined) place.acknowledged = Math.max(place.acknowledged, event.seq);
          break;
        }
        case "resumed":
          this.#resumed(event.cursors);
          break;
        case "resync":
          this.#beginAnew(false);
          break;
        default:
      }
    }
    for (const place of this.#places.values()) yield* this.#holes(place);
  }

  *#delivered(entry: Entry, at: number): Generator<Violation> {
    const place = this.#place(entry.conversation);
    if (place === undefined) return; // S2 says so
    const { seq } = entry;
    const again = this.#comesAgain(place, seq);
    if (again !== undefined) yield again;
    if (place.top === null) yield* this.#first(place, seq, at);
    else if (seq === place.top + 1) place.top = seq;
    else if (this.#isBeginning(place, seq)) {
      place.top = seq;
      place.first = Math.min(place.first, seq);
      place.anew--;
      place.claim = null;
    } else if (seq <= place.top) {
      const text = place.missing.has(seq) ? "out of order" : "twice on one socket";
      yield this.#violation("S6", `an entry came ${text}`, { seq, after: place.top, conversation: entry.conversation });
    } else {
      this.#note(place, place.top + 1, seq - 1);
      place.top = seq;
    }
    place.missing.delete(seq);
  }

  /** The first entry of a log on this socket: one beyond where the device can stand, at most. */
  *#first(place: Place, seq: number, at: number): Generator<Violation> {
    const { conversation } = place.log.log;
    const { input } = this.#connection;
    const known = Math.max(this.#standings.highest(input, conversation, at), place.truncated - 1);
    const joined = intervalAt(place.log, input.account, seq)?.joined ?? seq; // outside of all of them: S13
    place.top = seq;
    place.first = seq;
    const from = Math.max(known, joined - 1) + 1;
    if (seq <= from) return;
    if (seq - 1 <= place.log.log.purged) yield this.#removed(conversation, from, seq - 1);
    else
      yield this.#violation("S6", `a stream begins at ${seq}, and the device stands at ${from - 1}`, { conversation });
  }

  /** Whether a stream that begins anew may begin here. */
  #isBeginning(place: Place, seq: number): boolean {
    if (place.anew === 0) return false;
    if (place.claim !== null && seq === place.claim + 1) return true;
    const lowest = Math.min(place.first, place.claim ?? place.first);
    return lowest <= seq && seq <= Math.max(place.acknowledged, place.first - 1) + 1;
  }

  /** S8: below what the device had acknowledged, and the server had kept, nothing comes again unasked. */
  #comesAgain(place: Place, seq: number): Violation | undefined {
    if (seq > place.lowestClaim || seq > place.kept) return undefined;
    if (place.anew === 0 && place.top !== null && seq <= place.top) return undefined; // twice on one socket: S6
    const evidence = { conversation: place.log.log.conversation, seq, kept: place.kept };
    return this.#violation("S8", "an entry came again that was acknowledged", evidence);
  }

  *#truncated(conversation: ConversationId, before: number): Generator<Violation> {
    const place = this.#place(conversation);
    if (place === undefined) return;
    const { account } = this.#connection.input;
    const joined = place.log.intervals.get(account)?.findLast(({ joined }) => joined <= before)?.joined ?? 0;
    if (before > Math.max(place.log.log.purged + 1, joined))
      yield this.#violation("S15", `nothing was removed up to ${before}, as was said`, { conversation });
    place.truncated = Math.max(place.truncated, before);
    this.#passed(conversation, before - 1);
  }

  /** S15: retention removed what comes between, and the device was not told. */
  #removed(conversation: ConversationId, from: number, to: number): Violation {
    return this.#violation("S15", `${from} to ${to} were removed, and nobody said so`, { conversation });
  }

  #resumed(cursors: ReadonlyMap<ConversationId, number>): void {
    for (const [conversation, claim] of cursors) {
      this.#claims.set(conversation, claim);
      const lowest = Math.min(this.#lowestClaims.get(conversation) ?? Number.POSITIVE_INFINITY, claim);
      this.#lowestClaims.set(conversation, lowest);
      const place = this.#places.get(conversation);
      if (place === undefined) continue;
      place.claim = claim;
      place.lowestClaim = lowest;
    }
    this.#beginAnew(true);
  }

  /** `asked`: by a frame of the device, so what it acknowledged before that frame was known by then. */
  #beginAnew(asked: boolean): void {
    this.#begun++;
    for (const place of this.#places.values()) {
      if (asked && place.anew === 0) place.kept = Math.max(place.kept, place.acknowledged);
      place.anew++;
    }
  }

  #passed(conversation: ConversationId, seq: number): void {
    const place = this.#place(conversation);
    if (place !== undefined && place.top !== null) place.top = Math.max(place.top, seq);
  }

  #place(conversation: ConversationId): Place | undefined {
    const known = this.#places.get(conversation);
    const log = this.#facts.logs.get(conversation);
    if (known !== undefined || log === undefined) return known;
    const place: Place = {
      log,
      top: null,
      first: 0,
      acknowledged: 0,
      kept: this.#standings.kept(this.#connection.input.device, conversation, this.#connection.openedAt),
      truncated: 0,
      claim: this.#claims.get(conversation) ?? null,
      anew: this.#begun,
      lowestClaim: this.#lowestClaims.get(conversation) ?? Number.POSITIVE_INFINITY,
      missing: new Set(),
    };
    this.#places.set(conversation, place);
    return place;
  }

  #note(place: Place, from: number, to: number): void {
    for (let seq = Math.max(from, to - MOST_MISSING); seq <= to; seq++) {
      if (seq >= place.truncated && maySee(place.log, this.#connection.input.account, seq)) place.missing.add(seq);
    }
  }

  *#holes({ log, missing }: Place): Generator<Violation> {
    if (missing.size === 0) return;
    const { conversation, purged } = log.log;
    const seqs = [...missing];
    const kept = seqs.filter((seq) => seq > purged);
    if (kept.length === 0) return yield this.#removed(conversation, Math.min(...seqs), Math.max(...seqs));
    const evidence = { conversation, missing: kept.slice(0, 10), of: kept.length };
    yield this.#violation("S7", "a socket was sent what comes after and never what came before", evidence);
  }

  #violation(rule: Rule, text: string, evidence: object): Violation {
    const { device, node } = this.#connection.input;
    return { rule, text, evidence: { device, node, openedAt: this.#connection.openedAt, ...evidence } };
  }
}

/** S7, the part of the database: no cursor stands beyond what its device acknowledged, or could. */
export function* cursorsBehindDevices(facts: Facts): Generator<Violation> {
  const standings = new Standings(facts);
  for (const { log, intervals } of facts.logs.values()) {
    for (const { device, account, acknowledged } of log.cursors) {
      const connections = facts.devices.get(device);
      if (connections === undefined) continue;
      const said = standings.highest({ device, account }, log.conversation, Number.POSITIVE_INFINITY);
      const [truncated, ended] = [truncatedTo(connections, log.conversation), intervals.get(account) ?? []];
      const bounds = ended.flatMap(({ joined, left }) => [joined - 1, ...(Number.isFinite(left) ? [left] : [])]);
      const most = Math.max(said, truncated, ...bounds);
      if (acknowledged <= most) continue;
      const evidence = { device, conversation: log.conversation, acknowledged, most };
      yield { rule: "S7", text: "a cursor stands beyond what its device acknowledged", evidence };
    }
  }
}

function truncatedTo(connections: readonly Connection[], conversation: ConversationId): number {
  let highest = 0;
  for (const { events } of connections) {
    for (const event of events) {
      if (event.type === "truncated" && event.conversation === conversation)
        highest = Math.max(highest, event.before - 1);
    }
  }
  return highest;
}
