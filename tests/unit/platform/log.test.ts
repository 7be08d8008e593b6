import { describe, expect, test } from "bun:test";
import { createLog } from "../../../src/platform/log.ts";
import { createMetrics } from "../../../src/platform/metrics.ts";

function logTo(lines: string[], pretty: boolean) {
  return createLog({ level: "debug", pretty, write: (line) => void lines.push(line) });
}

const CANARY = "canary-8c1f";

describe("createLog()", () => {
  for (const pretty of [true, false]) {
    test(`hides secrets at every level of a ${pretty ? "readable" : "JSON"} line`, () => {
      const lines: string[] = [];
      const log = logTo(lines, pretty).child({ requestId: "req-1" });
      log.info(
        {
          password: CANARY,
          body: { content: CANARY },
          frame: { data: { encrypted_content: CANARY } },
          headers: { authorization: CANARY },
        },
        "Said",
      );
      log.warn({ token: CANARY, session: { refresh_token: CANARY, id: "sid-1" } }, "Said again");
      expect(lines).toHaveLength(2);
      expect(lines.join("")).not.toContain(CANARY);
      expect(lines.join("")).toContain("req-1");
      expect(lines[1]).toContain("sid-1");
    });

    test(`writes an error's code and cause, not the values a database quotes (${pretty ? "readable" : "JSON"})`, () => {
      const lines: string[] = [];
      const cause = Object.assign(new Error("duplicate key"), { code: "23505", detail: `Key (name)=(${CANARY})` });
      logTo(lines, pretty).error({ err: new Error("It failed", { cause }) }, "Failed");
      expect(lines[0]).toContain("23505");
      expect(lines[0]).toContain("It failed");
      expect(lines[0]).not.toContain(CANARY);
    });
  }

  test("writes one line of JSON with time, level and message", () => {
    const lines: string[] = [];
    logTo(lines, false).info({ port: 8000 }, "Listening");
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      level: "info",
      port: 8000,
      msg: "Listening",
    });
    expect(lines[0]).toEndWith("}\n");
  });
});

describe("createMetrics()", () => {
  test("writes what was counted, apart from another registry", async () => {
    const metrics = createMetrics();
    metrics.counter("sotto_frames_total", "Frames", ["type"]).increase({ type: "ping" }, 2);
    metrics.counter("sotto_frames_total", "Frames", ["type"]).increase({ type: "ping" });
    metrics.counter("sotto_starts_total", "Starts").increase();
    metrics.gauge("sotto_sockets", "Sockets").set(7);
    metrics.measured("sotto_actors", "Actors", () => 3);
    metrics.histogram("sotto_send_seconds", "Sends").observe(0.02);
    const text = await metrics.text();
    expect(text).toContain('sotto_frames_total{type="ping"} 3');
    expect(text).toContain("sotto_starts_total 1");
    expect(text).toContain("sotto_sockets 7");
    expect(text).toContain("sotto_actors 3");
    expect(text).toContain('sotto_send_seconds_bucket{le="0.025"} 1');
    expect(await createMetrics().text()).not.toContain("sotto_sockets");
  });
});
