import { describe, expect, test } from "bun:test";
import type { EndedSession } from "../../src/accounts/mod.ts";
import type { AccountId, SessionEnd, SessionId } from "../../src/protocol/mod.ts";
import { SessionWatch } from "../../src/realtime/session_watch.ts";

const OVERLAP = 30_000;

/** A watch whose looks are answered by the test. */
function open() {
  const state = { now: 1_000_000, full: false, told: [] as string[], faults: [] as unknown[], asked: [] as number[] };
  const answers: PromiseWithResolvers<readonly EndedSession[]>[] = [];
  const watch = new SessionWatch({
    endedSince: (since) => {
      state.asked.push(since);
      const answer = Promise.withResolvers<readonly EndedSession[]>();
      answers.push(answer);
      return answer.promise;
    },
    tell: ({ accountId, id, reason }) => {
      state.told.push(`${accountId}:${id}:${reason}`);
      return !state.full;
    },
    now: () => state.now,
    onFault: (error) => void state.faults.push(error),
  });
  return { state, answers, watch };
}

const ended = (account: string, id: string, reason: SessionEnd = "session_ended"): EndedSession => ({
  accountId: account as AccountId,
  id: id as SessionId,
  reason,
});

describe("SessionWatch", () => {
  test("tells the actor of each session that ended, and looks back over what may have been committed late", async () => {
    const { state, answers, watch } = open();
    state.now += 1_000;
    const looked = watch.look();
    answers[0]?.resolve([ended("ann", "1", "session_ended"), ended("ben", "2", "account_disabled")]);
    await looked;
    expect(state.told).toEqual(["ann:1:session_ended", "ben:2:account_disabled"]);
    state.now += 1_000;
    void watch.look();
    expect(state.asked).toEqual([1_000_000 - OVERLAP, 1_001_000 - OVERLAP]);
  });

  test("tells each session once, and again only where the actor had no room", async () => {
    const { state, answers, watch } = open();
    const look = async (i: number, ...sessions: EndedSession[]) => {
      const looked = watch.look();
      answers[i]?.resolve(sessions);
      await looked;
    };
    state.full = true;
    await look(0, ended("ann", "1"));
    state.full = false;
    await look(1, ended("ann", "1"));
    await look(2, ended("ann", "1"), ended("ben", "2"));
    await look(3, ended("ben", "2"));
    expect(state.told).toEqual(["ann:1:session_ended", "ann:1:session_ended", "ben:2:session_ended"]);
  });

  test("looks back to its last success after an outage or a frozen minute, and reports an outage once", async () => {
    const { state, answers, watch } = open();
    for (let i = 0; i < 3; i++) {
      state.now += 60_000;
      const looked = watch.look();
      answers[i]?.reject(new Error("no database"));
      await looked;
    }
    expect(state.faults).toHaveLength(1);
    expect(state.asked).toEqual(Array(3).fill(1_000_000 - OVERLAP));
    state.now += 60_000;
    const looked = watch.look();
    answers[3]?.resolve([]);
    await looked;
    void watch.look();
    expect(state.asked.slice(3)).toEqual([1_000_000 - OVERLAP, state.now - OVERLAP]);
  });

  test("asks nothing while it waits for an answer, and a clock that was set back hides nothing", async () => {
    const { state, answers, watch } = open();
    const looked = watch.look();
    state.now -= 3_600_000;
    await watch.look();
    expect(state.asked).toHaveLength(1);
    answers[0]?.resolve([]);
    await looked;
    void watch.look();
    expect(state.asked[1]).toBe(state.now - OVERLAP);
  });
});
