/**
 * A tiny server that makes no mistakes: it writes histories that are right, for the tests of the
 * checker to leave as they are or to spoil. Its clock is moved by hand, its nodes share everything.
 */
import type { AccountId, ConversationId, DeviceId, MessageId, SessionId } from "../../../src/protocol/mod.ts";
import { bodyOf, type Entry, type MembershipChange } from "../../support/history/entry.ts";
import {
  type ChangeInput,
  type Connection,
  History,
  type Operation,
  type SettingsInput,
  type StoredLog,
} from "../../support/history/history.ts";
import { empty, type Log, sees, shownTo } from "./model_log.ts";
import { Marks } from "./model_marks.ts";

/** Somebody on one device. */
export interface Person {
  readonly account: AccountId;
  readonly device: DeviceId;
  readonly session: SessionId;
}

/** A socket as the model keeps it. */
export interface Socket {
  readonly person: Person;
  readonly connection: Connection;
  /** What was sent and what was acknowledged, by conversation. */
  readonly sent: Map<ConversationId, number>;
  readonly acknowledged: Map<ConversationId, number>;
  /** False while it does not read: what it is sent comes later. */
  reading: boolean;
}

/** A message that was sent, to be sent again. */
export interface Sent {
  readonly conversation: ConversationId;
  readonly id: MessageId;
  readonly body: string;
}

/** What may become of a send. */
export type Fate = "answered" | "answer lost" | "send lost";

const STEP_MS = 3;
const EPOCH = 1_700_000_000_000;

/** See the head of this file. */
export class Model {
  #now = 1_000;
  #made = 0;
  readonly history = new History(() => this.#now);
  readonly marks = new Marks();
  readonly #logs = new Map<ConversationId, Log>();
  readonly #sockets = new Set<Socket>();
  /** What is in the database, by device and conversation. */
  readonly #cursors = new Map<string, { device: DeviceId; account: AccountId; seq: number }>();
  readonly #pinned = new Set<DeviceId>();

  /** Time goes on. */
  pass(ms: number = STEP_MS): void {
    this.#now += ms;
  }

  /** Somebody new, or somebody's further device. */
  person(account: AccountId = this.#id<AccountId>()): Person {
    return { account, device: this.#id<DeviceId>(), session: this.#id<SessionId>() };
  }

  /** Opens a dm. */
  dm(owner: Person, other: Person): ConversationId {
    return this.open(owner, [other], null, true);
  }

  /** Opens a conversation. */
  open(owner: Person, others: readonly Person[], retentionMs: number | null = null, isDm = false): ConversationId {
    const conversation = this.#id<ConversationId>();
    const accounts = [owner, ...others].map(({ account }) => account);
    const log: Log = {
      conversation,
      entries: [],
      byId: new Map(),
      members: accounts.map((account) => ({ account, joined: 1, left: null })),
      isDm,
      withheld: [],
      purged: 0,
      retentionMs,
    };
    const asked = { account: owner.account, session: owner.session, node: "1" };
    const operation = this.history.begin("membership", { ...asked, change: "create", conversation: null, accounts });
    this.pass();
    this.#logs.set(conversation, log);
    this.#append(log, owner.account, this.#id<MessageId>(), { change: "created", accounts });
    operation.ok({ conversation });
    return conversation;
  }

  /** Adds or removes somebody. */
  change(change: "add" | "remove", actor: Person, conversation: ConversationId, whom: Person): void {
    const { account } = whom;
    const asked = { account: actor.account, session: actor.session, node: "1" };
    const operation = this.history.begin("membership", { ...asked, change, conversation, accounts: [account] });
    this.pass();
    const log = this.#log(conversation);
    const seq = log.entries.length + 1;
    if (change === "add") log.members.push({ account, joined: seq, left: null });
    else for (const member of log.members) if (member.account === account) member.left ??= seq;
    const said = change === "add" ? "joined" : "removed";
    this.#append(log, actor.account, this.#id<MessageId>(), { change: said, accounts: [account] });
    operation.ok({ conversation });
    if (change === "add") return;
    for (const socket of this.#sockets) {
      if (socket.person.account !== account || !socket.reading) continue;
      socket.connection.note({ type: "left", conversation, seq });
      socket.sent.set(conversation, seq);
    }
  }

  /** Blocks somebody, or ends that; `lost`: nobody is told whether it happened, and it did not. */
  block(change: "block" | "unblock", { account, session }: Person, { account: whom }: Person, lost = false): void {
    const operation = this.history.begin("block", { account, session, node: "1", change, whom });
    this.pass();
    if (lost) return operation.unknown("cut");
    const dms = [...this.#logs.values()].filter(
      ({ isDm, members }) => isDm && [account, whom].every((one) => members.some((member) => member.account === one)),
    );
    this.marks.block(change, account, whom, dms);
    if (change === "block")
      for (const [of, to] of [
        [account, whom],
        [whom, account],
      ] as const)
        this.#show(of, "offline", (reader) => reader === to);
    for (const { isDm, members, withheld, entries } of this.#logs.values()) {
      if (!isDm || [account, whom].some((one) => members.every((member) => member.account !== one))) continue;
      const open = withheld.find(({ reader, to }) => reader === account && to === null);
      if (change === "unblock" && open !== undefined) open.to = entries.length;
      if (change === "block" && open === undefined)
        withheld.push({ reader: account, sender: whom, from: entries.length + 1, to: null });
    }
    operation.ok(null);
    this.pass();
  }

  /** Edits, deletes or reacts to a message that was sent. */
  changeMessage(what: ChangeInput["what"], { account, session }: Person, { conversation, id: message }: Sent): void {
    const id = this.#id<MessageId>();
    const said = what === "edit" ? bodyOf({ content: id }) : null;
    const emoji = what === "react" || what === "unreact" ? "👍" : null;
    const asked = { account, session, node: "1", conversation, message, what };
    const operation = this.history.begin("change", {
      ...{ ...asked, id: what === "edit" ? id : null, said, emoji },
    });
    this.pass();
    const log = this.#log(conversation);
    const isOld = (entry: Entry) =>
      what === "delete"
        ? entry.id === message || entry.target === message
        : entry.target === message && entry.kind === "reaction" && emoji !== null && entry.sender === account;
    for (const [place, entry] of log.entries.entries()) if (isOld(entry)) empty(log, place);
    const kind = what === "edit" ? "edit" : what === "delete" ? "deletion" : "reaction";
    const about = kind === "edit" ? { said: said ?? "" } : emoji === null ? {} : { emoji, added: what === "react" };
    const entry = {
      ...this.#push(log, account, id, bodyOf({ content: id, message_id: message })),
      kind,
      target: message,
    };
    log.entries[entry.seq - 1] = { ...entry, ...about } as Entry;
    log.byId.set(id, log.entries[entry.seq - 1] as Entry);
    this.#pump();
    operation.ok(null);
    this.pass();
  }

  /** Opens a socket and catches it up, from what it claims where it does. */
  connect(person: Person, node: string, claims?: ReadonlyMap<ConversationId, number>): Socket {
    const { account, device, session } = person;
    const connection = this.history.connection({ account, device, session, node });
    const socket: Socket = { person, connection, sent: new Map(), acknowledged: new Map(), reading: true };
    this.#pin(person);
    if (claims !== undefined) connection.note({ type: "resumed", cursors: claims });
    for (const log of this.#logs.values()) {
      const { conversation } = log;
      const stored = this.#cursors.get(`${device} ${conversation}`)?.seq ?? 0;
      const start = claims?.get(conversation) ?? stored;
      if (claims?.has(conversation) === true) this.#keep(person, conversation, start);
      socket.sent.set(conversation, start);
      socket.acknowledged.set(conversation, start);
    }
    this.#sockets.add(socket);
    this.#pump();
    connection.note({ type: "caught_up" });
    this.pass();
    return socket;
  }

  /** The socket ends; `kept`: its acknowledgements reached the database. */
  close(socket: Socket, kept: boolean): void {
    this.#sockets.delete(socket);
    if (kept) {
      for (const [conversation, seq] of socket.acknowledged) this.#keep(socket.person, conversation, seq);
    }
    socket.connection.end(kept ? 1000 : 1006, kept ? "client" : "cut");
    this.pass();
  }

  /** Acknowledges everything that came. */
  acknowledge(socket: Socket, conversation: ConversationId): void {
    const seq = socket.sent.get(conversation) ?? 0;
    if (seq === 0 || !socket.reading) return;
    socket.connection.note({ type: "acknowledged", conversation, seq });
    socket.acknowledged.set(conversation, seq);
    this.pass();
    this.#mark("delivered", socket, conversation, seq);
  }

  /** Reads up to a seq. */
  markRead(socket: Socket, conversation: ConversationId, seq: number): void {
    socket.connection.note({ type: "read_marked", conversation, seq });
    this.pass();
    this.#mark("read", socket, conversation, seq);
  }

  /** A round trip: what was said before has been taken. */
  settle({ connection }: Socket): void {
    const since = this.history.tick();
    this.pass();
    connection.note({ type: "settled", since });
  }

  /** Sets whether somebody gives read marks, or shows how they are. */
  set({ account, session }: Person, settings: Pick<SettingsInput, "readReceipts" | "hidden">): void {
    const operation = this.history.begin("settings", { account, session, node: "1", ...settings });
    this.pass();
    for (const [all, on] of [
      [this.marks.silent, settings.readReceipts === undefined ? undefined : !settings.readReceipts],
      [this.marks.hidden, settings.hidden],
    ] as const) {
      if (on === true) all.add(account);
      else if (on === false) all.delete(account);
    }
    operation.ok(null);
    this.pass();
    if (settings.hidden === true) this.#show(account, "offline");
  }

  /** Contacts are told how somebody is. */
  show({ account }: Person, status: string): void {
    if (!this.marks.hidden.has(account)) this.#show(account, status);
    this.pass();
  }

  /** Stores a message that came by another contract; gives its place. */
  store(conversation: ConversationId, { account }: Person): Entry {
    const id = this.#id<MessageId>();
    const entry = this.#push(this.#log(conversation), account, id, bodyOf({ content: id }));
    this.#pump();
    return entry;
  }

  /** What a log holds. */
  entriesOf(conversation: ConversationId): readonly Entry[] {
    return this.#log(conversation).entries;
  }

  /** The socket stops or goes on to read. */
  read(socket: Socket, reading: boolean): void {
    socket.reading = reading;
    this.#pump();
  }

  /** Sends a message, or an earlier one again. */
  send(from: Socket | { person: Person; node: string }, what: ConversationId | Sent, fate: Fate = "answered"): Sent {
    const id = this.#id<MessageId>();
    const sent: Sent = typeof what === "string" ? { conversation: what, id, body: bodyOf({ content: id }) } : what;
    const operation = this.attempt(from, sent);
    this.pass();
    if (fate === "send lost") operation.unknown("cut");
    else this.#store(from, sent, operation, fate);
    this.pass();
    return sent;
  }

  /** Begins an attempt and nothing more. */
  attempt(from: Socket | { person: Person; node: string }, sent: Sent): Operation<"send"> {
    const via = "connection" in from ? from.connection : null;
    const { account, session, device } = from.person;
    const node = "connection" in from ? from.connection.input.node : from.node;
    return this.history.send({ account, session, device, node, via, ordered: true, ...sent });
  }

  /** Reads a page after a seq. */
  page(person: Person, node: string, conversation: ConversationId, after: number): Operation<"page"> {
    const { account, session } = person;
    const asked = { account, session, node, conversation, direction: "after", seq: after } as const;
    const operation = this.history.begin("page", asked);
    this.pass();
    const log = this.#log(conversation);
    const entries = log.entries
      .filter(({ seq }) => seq > Math.max(after, log.purged) && sees(log, account, seq))
      .map((entry) => shownTo(log, account, entry));
    operation.ok({ entries, next: null, previous: null, statuses: this.marks.statuses(log, account, entries) });
    return operation;
  }

  /** Reads a summary. */
  snapshot(person: Person, node: string, conversation: ConversationId): Operation<"snapshot"> {
    const operation = this.history.begin("snapshot", { account: person.account, session: person.session, node });
    this.pass();
    const { entries, members } = this.#log(conversation);
    const participants = members.filter(({ left }) => left === null).map(({ account }) => account);
    const messages = entries.filter(({ kind }) => kind === "message").length;
    const first = members.findLast((member) => member.account === person.account)?.joined ?? 1;
    const read = Math.max(this.marks.readOf(person.account, conversation), first === 1 ? 0 : first - 1);
    const unread = entries.filter(({ kind, seq }) => kind === "message" && seq > Math.max(read, first - 1)).length;
    operation.ok([{ conversation, lastSeq: entries.length, participants, messages, first, read, unread }]);
    return operation;
  }

  /** Signs somebody out; their sockets close. */
  signOut(person: Person, node: string): void {
    const { account, session } = person;
    const operation = this.history.begin("sign_out", { account, session, node, sessions: [session] });
    this.pass();
    operation.ok(null);
    this.pass();
    for (const socket of [...this.#sockets]) {
      if (socket.person.session !== session) continue;
      this.#sockets.delete(socket);
      socket.connection.end(4410, "server");
    }
  }

  /** Retention removes everything up to a seq. */
  purge(conversation: ConversationId, purged: number): void {
    this.#log(conversation).purged = purged;
  }

  /** How long a log is. */
  top(conversation: ConversationId): number {
    return this.#log(conversation).entries.length;
  }

  /** Time for everything to come, and the final read. */
  finish(): History {
    this.pass(60_000);
    const logs = [...this.#logs.values()].map(
      ({ conversation, entries, members, isDm, purged, retentionMs }): StoredLog => ({
        ...{ conversation, isDm, purged, retentionMs, lastSeq: entries.length },
        entries: entries.filter(({ seq }) => seq > purged),
        members: members.map((member) => ({ ...member })),
        cursors: [...this.#cursors]
          .filter(([key]) => key.endsWith(conversation))
          .map(([, { device, account, seq }]) => ({ device, account, acknowledged: seq })),
      }),
    );
    this.history.finish({ date: EPOCH + this.#now, logs });
    return this.history;
  }

  #store(from: Socket | { person: Person }, sent: Sent, operation: Operation<"send">, fate: Fate): void {
    const log = this.#log(sent.conversation);
    const known = log.byId.get(sent.id);
    if (known === undefined && !sees(log, from.person.account, log.entries.length + 1))
      return operation.refused("conversation_not_found", false);
    const stored = known ?? this.#push(log, from.person.account, sent.id, sent.body);
    const { seq, createdAt } = stored;
    if (fate === "answer lost") operation.unknown("cut");
    else {
      const socket = "connection" in from && from.reading && this.#sockets.has(from) ? from : undefined;
      const inOrder = socket !== undefined && socket.sent.get(sent.conversation) === seq - 1;
      operation.ok({ seq, createdAt, inOrder });
      if (inOrder) socket.sent.set(sent.conversation, seq);
    }
    this.#pump();
  }

  /** Notes how far somebody is, and tells who is connected and may know. */
  #mark(what: "delivered" | "read", from: Socket, conversation: ConversationId, seq: number): void {
    const [log, { account }] = [this.#log(conversation), from.person];
    if (!this.marks.raise(what, account, log, seq)) return;
    for (const { person, connection, reading } of this.#sockets) {
      if (connection === from.connection || !reading || !this.marks.mayTell(what, account, person.account, log))
        continue;
      connection.note({ type: `${what}_told`, conversation, account, seq });
    }
    this.pass();
  }

  #show(account: AccountId, status: string, to: (reader: AccountId) => boolean = () => true): void {
    for (const { person, connection } of this.#sockets) {
      const reader = person.account;
      const shared = [...this.#logs.values()].some(({ members }) =>
        [account, reader].every((one) => members.some((member) => member.account === one)),
      );
      const parted = this.marks.areParted(account, reader) && status !== "offline";
      if (reader !== account && shared && !parted && to(reader))
        connection.note({ type: "presence_told", account, status });
    }
  }

  #append(log: Log, sender: AccountId, id: MessageId, change: MembershipChange): void {
    this.#push(log, sender, id, bodyOf({ change: change.change, user_ids: change.accounts }), change);
    this.#pump();
  }

  #push(log: Log, sender: AccountId, id: MessageId, body: string, change?: MembershipChange): Entry {
    const place = { conversation: log.conversation, seq: log.entries.length + 1, createdAt: EPOCH + this.#now };
    const entry: Entry =
      change === undefined
        ? { ...place, id, sender, kind: "message", body }
        : { ...place, id, sender, kind: "membership", body, change };
    log.entries.push(entry);
    log.byId.set(id, entry);
    return entry;
  }

  /** Sends every socket what comes next in every log. */
  #pump(): void {
    for (const socket of this.#sockets) {
      for (const log of socket.reading ? this.#logs.values() : []) this.#feed(socket, log);
    }
  }

  #feed({ person, connection, sent }: Socket, log: Log): void {
    const { conversation } = log;
    if (!log.members.some(({ account }) => account === person.account)) return;
    let last = sent.get(conversation) ?? 0;
    if (last < log.purged && sees(log, person.account, log.purged)) {
      connection.note({ type: "truncated", conversation, before: log.purged + 1 });
      last = log.purged;
    }
    for (const entry of log.entries.slice(last)) {
      if (!sees(log, person.account, entry.seq)) continue;
      connection.note({ type: "delivered", entry: shownTo(log, person.account, entry) });
      last = entry.seq;
    }
    sent.set(conversation, last);
  }

  /** A new device begins where its account stands. */
  #pin({ account, device }: Person): void {
    if (this.#pinned.has(device)) return;
    this.#pinned.add(device);
    for (const { conversation } of this.#logs.values()) {
      const own = [...this.#cursors].filter(([key, one]) => one.account === account && key.endsWith(conversation));
      const highest = Math.max(0, ...own.map(([, { seq }]) => seq));
      if (highest > 0) this.#cursors.set(`${device} ${conversation}`, { device, account, seq: highest });
    }
  }

  #keep({ account, device }: Person, conversation: ConversationId, seq: number): void {
    const key = `${device} ${conversation}`;
    if (seq > (this.#cursors.get(key)?.seq ?? 0)) this.#cursors.set(key, { device, account, seq });
  }

  #log(conversation: ConversationId): Log {
    const log = this.#logs.get(conversation);
    if (log === undefined) throw new Error(`Open the conversation first: ${conversation}`);
    return log;
  }

  #id<Id extends string>(): Id {
    return `id${(++this.#made).toString().padStart(6, "0")}` as string as Id;
  }
}
