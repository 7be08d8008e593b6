/** What happens in each part, as counters, times and lines of the log: what `/metrics` shows beside sizes of the moment. */
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { HubObserver } from "../realtime/mod.ts";

/** Told of a fault that the server lives through, and whose it is. */
export type OnFault = (part: string, error: unknown) => void;

/** From a tenth of a millisecond to ten seconds. */
const STAGE_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Counts and logs what the server lives through. */
export function faultReporter(log: Log, metrics: Metrics): OnFault {
  const faults = metrics.counter("sotto_faults_total", "Faults of a part that the server lives through", ["part"]);
  return (part, error) => {
    faults.increase({ part });
    log.warn({ part, err: error }, "A part failed; what it held is tried again");
  };
}

/** Counts and times batches of the event log. */
export function logObserver(metrics: Metrics, onFault: OnFault) {
  const events = metrics.counter("sotto_log_events_total", "Events answered by the log", ["status"]);
  const sizes = metrics.histogram("sotto_log_batch_events", "Events in a batch", [], [1, 4, 16, 64, 256]);
  const times = metrics.histogram("sotto_log_batch_seconds", "Time from sending a batch to its commit");
  const waits = metrics.histogram("sotto_log_wait_seconds", "Time that the first event of a batch waited to be sent");
  return {
    batch: (count: number, milliseconds: number, waited: number) => {
      sizes.observe(count);
      times.observe(milliseconds / 1_000);
      waits.observe(waited / 1_000);
    },
    settled: (status: string) => events.increase({ status }),
    fault: (error: unknown) => onFault("log", error),
  };
}

/** Counts sockets, and logs what failed while they were served. */
export function hubObserver(log: Log, metrics: Metrics, onFault: OnFault): Omit<HubObserver, "stage"> {
  const opened = metrics.counter("sotto_sockets_opened_total", "Sockets opened");
  const closed = metrics.counter("sotto_sockets_closed_total", "Sockets closed", ["reason"]);
  const failures = metrics.counter("sotto_actor_failures_total", "Messages that made an actor fail");
  return {
    opened: () => opened.increase(),
    closed: (reason) => closed.increase({ reason }),
    actorFailed: (account, error) => {
      failures.increase();
      log.error({ account, err: error }, "An actor failed and was restarted");
    },
    frameFailed: (session, requestId, error) => {
      const account = session?.wasAuthenticated === true ? session.principal.accountId : null;
      log.error({ requestId, account, err: error }, "A frame failed");
    },
    fault: onFault,
  };
}

/** Times the stages of a message's path. */
export function stageObserver(metrics: Metrics): HubObserver["stage"] {
  const help = "Time of a stage of a message's path, of one message in 64; of each turn's look_up and publish";
  const times = metrics.histogram("sotto_stage_seconds", help, ["stage"], STAGE_SECONDS);
  return (stage, milliseconds) => times.observe({ stage }, milliseconds / 1_000);
}

/** Times requests by route and status. */
export function requestObserver(metrics: Metrics) {
  const times = metrics.histogram("sotto_http_seconds", "Time to answer a request", ["method", "route", "status"]);
  return {
    onAnswered: (answered: { method: string; route: string; status: number; seconds: number }): void => {
      const { method, route, status, seconds } = answered;
      times.observe({ method, route, status: String(status) }, seconds);
    },
  };
}
