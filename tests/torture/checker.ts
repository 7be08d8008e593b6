/**
 * Says what is wrong with a history: what the processes were told, against what the database
 * holds. Pure, so that it can be shown to find what is broken.
 */

/** One answer that a process got, as it wrote it down. */
export interface Answer {
  readonly process: number;
  readonly conversation: string;
  readonly sender: string;
  readonly id: string;
  /** The digest as hex. */
  readonly digest: string;
  readonly status: string;
  readonly seq: number | null;
  /** Milliseconds since the epoch. */
  readonly at: number | null;
  /** The place in the sender's own order, or `null` where several processes send the same. */
  readonly order: number | null;
}

/** One stored event. `at`: milliseconds since the epoch. */
export interface Stored {
  readonly conversation: string;
  readonly seq: number;
  readonly id: string;
  readonly sender: string;
  readonly kind: number;
  readonly at: number;
  readonly digest: string;
  readonly counts: boolean;
  readonly counted: number;
}

/** One membership. */
export interface Interval {
  readonly conversation: string;
  readonly account: string;
  readonly joined_seq: number;
  readonly left_seq: number | null;
}

/** The head of a log. */
export interface Head {
  readonly id: string;
  readonly last_seq: number;
  readonly counted: number;
  readonly members_version: number;
}

/** Everything there is to look at. `stored` is in the order of conversation and seq. */
export interface History {
  readonly answers: readonly Answer[];
  readonly stored: readonly Stored[];
  readonly intervals: readonly Interval[];
  readonly heads: readonly Head[];
}

/** Gives one sentence for each kind of fault that was found, with how often and an example. */
export function check(history: History): string[] {
  const faults = new Map<string, { count: number; example: string }>();
  const fault = (what: string, example: unknown) => {
    const known = faults.get(what);
    if (known === undefined) faults.set(what, { count: 1, example: JSON.stringify(example) });
    else known.count++;
  };
  checkLogs(history, fault);
  checkAnswers(history, fault);
  checkMembers(history, fault);
  return [...faults].map(([what, { count, example }]) => `${what} (${count} times, as ${example})`);
}

type Fault = (what: string, example: unknown) => void;

/** Dense numbers, each id once, times and counts that never fall, and heads that agree. */
function checkLogs({ stored, heads }: History, fault: Fault): void {
  const tops = new Map<string, { seq: number; at: number; counted: number; changes: number }>();
  const ids = new Set<string>();
  for (const event of stored) {
    const top = tops.get(event.conversation) ?? { seq: 0, at: 0, counted: 0, changes: 0 };
    if (event.seq !== top.seq + 1) fault("numbers are not dense", event);
    if (event.at < top.at) fault("time falls while numbers rise", event);
    if (event.counted !== top.counted + (event.counts ? 1 : 0)) fault("the count of a log is wrong", event);
    if (ids.has(`${event.conversation} ${event.id}`)) fault("an id is stored twice", event);
    ids.add(`${event.conversation} ${event.id}`);
    const changes = top.changes + (event.kind === 2 ? 1 : 0);
    tops.set(event.conversation, { seq: event.seq, at: event.at, counted: event.counted, changes });
  }
  for (const head of heads) {
    const top = tops.get(head.id);
    if (top?.seq !== head.last_seq || top.counted !== head.counted) fault("a head does not fit its log", head);
    if (top?.changes !== head.members_version) fault("a members' version does not fit the changes", head);
  }
}

/** What was acknowledged is stored as acknowledged; what was refused is not; a sender's order holds. */
function checkAnswers({ answers, stored }: History, fault: Fault): void {
  const byId = new Map(stored.map((event) => [`${event.conversation} ${event.id}`, event]));
  const attempted = new Set<string>();
  const orders = new Map<string, { order: number; seq: number }[]>();
  for (const answer of answers) {
    const key = `${answer.conversation} ${answer.id}`;
    attempted.add(key);
    const event = byId.get(key);
    if (answer.seq === null) {
      if (answer.status === "not_member" && event !== undefined) fault("what was refused is stored", answer);
      continue;
    }
    if (event === undefined) fault("what was acknowledged is not stored", answer);
    else if (event.seq !== answer.seq) fault("an acknowledgement names another number", answer);
    else if (event.at !== answer.at) fault("an acknowledgement names another time", answer);
    else if (event.sender !== answer.sender || event.digest !== answer.digest)
      fault("what is stored is not what was sent", answer);
    if (answer.order === null) continue;
    const sender = `${answer.conversation} ${answer.sender}`;
    const seen = orders.get(sender) ?? [];
    orders.set(sender, seen);
    seen.push({ order: answer.order, seq: answer.seq });
  }
  for (const event of stored) {
    if (event.seq > 1 && !attempted.has(`${event.conversation} ${event.id}`))
      fault("what nobody sent is stored", event);
  }
  for (const [sender, seen] of orders) {
    seen.sort((a, b) => a.order - b.order);
    for (let i = 1; i < seen.length; i++) {
      const [before, after] = [seen[i - 1], seen[i]];
      if (before !== undefined && after !== undefined && before.order !== after.order && before.seq >= after.seq) {
        fault("a sender's order is inverted", { sender, before, after });
      }
    }
  }
}

/** Everything was sent from within a membership, and memberships begin and end at their own events. */
function checkMembers({ stored, intervals }: History, fault: Fault): void {
  const byMember = new Map<string, Interval[]>();
  for (const interval of intervals) {
    const key = `${interval.conversation} ${interval.account}`;
    byMember.set(key, [...(byMember.get(key) ?? []), interval]);
  }
  const changes = new Set(
    stored.filter((event) => event.kind === 2).map((event) => `${event.conversation} ${event.seq}`),
  );
  for (const event of stored) {
    const own = byMember.get(`${event.conversation} ${event.sender}`) ?? [];
    const inside = own.some(
      ({ joined_seq, left_seq }) => joined_seq <= event.seq && (left_seq === null || event.seq < left_seq),
    );
    const leaving = event.kind === 2 && own.some(({ left_seq }) => left_seq === event.seq);
    if (!inside && !leaving) fault("an event comes from outside of a membership", event);
  }
  for (const { conversation, account, joined_seq, left_seq } of intervals) {
    if (!changes.has(`${conversation} ${joined_seq}`))
      fault("a membership begins without an event", { account, joined_seq });
    if (left_seq !== null && !changes.has(`${conversation} ${left_seq}`))
      fault("a membership ends without an event", { account, left_seq });
  }
}
