/**
 * Several processes of the same program, that share a port: started together, started again when
 * one dies, measured together, ended together.
 *
 * - A worker that ends before it was ever ready ends the attempt: its reason stands on its own
 *   standard error, and starting it again would only say it again.
 * - One that dies later is started again at once; one that keeps dying, ever more slowly.
 * - While one of them serves the others are started again for ever. Where none serves and one has
 *   died {@link MOST_DEATHS} times in a row soon after its start, the group gives up.
 * - Nothing is left behind: who does not end in time is killed, also where it is frozen.
 */
import type { Metrics } from "./metrics.ts";
import { GroupMetrics, type ToParent } from "./worker_metrics.ts";

/** What {@link startWorkers} is told. */
export interface WorkersOptions {
  /** The file to run. */
  readonly program: string;
  readonly count: number;
  /** The environment of each, whole. */
  readonly environment: Readonly<Record<string, string>>;
  /** What the parent measures of itself; part of the sums. */
  readonly metrics: Metrics;
  /** Milliseconds that a worker may take to end in order. */
  readonly endMs: number;
  /** Told in a sentence when a worker died and is started again. */
  readonly onDeath: (sentence: string) => void;
  /** Milliseconds before the first of a row of new starts; standard 50. Doubles up to a hundred times that. */
  readonly firstWaitMs?: number;
}

/** The running processes. */
export interface Workers {
  /** Resolves where the group gives up, to the reason; who runs it should stop it then. */
  readonly gaveUp: Promise<WorkersError>;
  /** Asks every worker to end, and waits until all are gone. */
  stop(): Promise<void>;
}

/** A worker could not start; its standard error says why. */
export class WorkersError extends Error {
  override readonly name = "WorkersError";
}

/** What a worker tells its parent once it serves. */
const READY = "ready";

/** A death within this time of the start is one of a row. */
const SOON_MS = 10_000;
/** With the waits between them this takes some twelve seconds. */
const MOST_DEATHS = 8;
const FIRST_WAIT_MS = 50;

/** Starts the workers; resolves once each is ready. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const gaveUp = Promise.withResolvers<WorkersError>();
  const group: Group = {
    options,
    metrics: new GroupMetrics(options.metrics),
    died: diedCounter(options.metrics),
    serves: () => slots.some((slot) => slot.serves),
    giveUp: (error) => gaveUp.resolve(error),
  };
  const slots = Array.from({ length: options.count }, () => new Slot(group));
  options.metrics.measured("sotto_workers", "Workers that serve", () => slots.filter((slot) => slot.serves).length);
  const workers = {
    gaveUp: gaveUp.promise,
    stop: async () => {
      await Promise.all(slots.map((slot) => slot.stop()));
    },
  };
  try {
    await Promise.all(slots.map((slot) => slot.start()));
  } catch (error) {
    await workers.stop();
    throw error;
  }
  return workers;
}

/** Tells the parent that this worker serves. */
export function tellReady(): void {
  process.send?.(READY);
}

function diedCounter(metrics: Metrics): () => void {
  const deaths = metrics.counter("sotto_worker_deaths_total", "Workers that ended without being asked to");
  return () => deaths.increase();
}

/** What the slots share. */
interface Group {
  readonly options: WorkersOptions;
  readonly metrics: GroupMetrics;
  readonly died: () => void;
  /** Whether any worker serves. */
  readonly serves: () => boolean;
  readonly giveUp: (error: WorkersError) => void;
}

/** One worker and those that take its place. */
class Slot {
  readonly #group: Group;
  #child: Bun.Subprocess | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Deaths in a row that came soon after the start. */
  #deaths = 0;
  #serves = false;
  #ending = false;

  constructor(group: Group) {
    this.#group = group;
  }

  /** Whether its worker is ready and lives. */
  get serves(): boolean {
    return this.#serves;
  }

  /** Starts the first one; rejects where it ends before it is ready. */
  start(): Promise<void> {
    const first = Promise.withResolvers<void>();
    this.#spawn(first);
    return first.promise;
  }

  async stop(): Promise<void> {
    this.#ending = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return;
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), this.#group.options.endMs);
    await child.exited;
    clearTimeout(late);
  }

  /** `first`: who waits for the first one to be ready. */
  #spawn(first?: PromiseWithResolvers<void>): void {
    const { options, metrics } = this.#group;
    const startedAt = performance.now();
    const member = metrics.join((message) => child.send(message));
    let wasReady = false;
    const child = Bun.spawn([process.execPath, options.program], {
      env: { ...options.environment },
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message: typeof READY | ToParent) => {
        if (message !== READY) return member.receive(message);
        this.#serves = true;
        wasReady = true;
        first?.resolve();
      },
    });
    this.#child = child;
    void child.exited.then((code) => {
      this.#serves = false;
      member.leave();
      if (this.#ending) return;
      if (first !== undefined && !wasReady)
        first.reject(new WorkersError("Mend what a worker said above, and start again"));
      else this.#again(String(child.signalCode ?? `code ${code}`), performance.now() - startedAt);
    });
  }

  #again(end: string, livedMs: number): void {
    const { options, died, serves, giveUp } = this.#group;
    died();
    this.#deaths = livedMs > SOON_MS ? 0 : this.#deaths + 1;
    if (this.#deaths >= MOST_DEATHS && !serves()) {
      giveUp(
        new WorkersError(
          `Mend what the workers said above, and start again: none serves, and one ended ${this.#deaths} times in a row soon after its start, the last time with ${end}`,
        ),
      );
      return;
    }
    options.onDeath(`A worker ended with ${end} and is started again`);
    const first = options.firstWaitMs ?? FIRST_WAIT_MS;
    const waitMs = this.#deaths === 0 ? 0 : first * Math.min(2 ** this.#deaths, 100);
    this.#timer = setTimeout(() => this.#spawn(), waitMs);
  }
}
