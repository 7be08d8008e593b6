/**
 * Several processes of the same program, that share a port: started together, started again when
 * one dies, ended together.
 *
 * - A worker that ends before it was ever ready ends the attempt: its reason stands on its own
 *   standard error, and starting it again would only say it again.
 * - One that dies later is started again at once; one that keeps dying, ever more slowly.
 * - Nothing is left behind: who does not end in time is killed.
 */

/** What {@link startWorkers} is told. */
export interface WorkersOptions {
  /** The file to run. */
  readonly program: string;
  readonly count: number;
  /** The environment of each, whole. */
  readonly environment: Readonly<Record<string, string>>;
  /** Milliseconds that a worker may take to end in order. */
  readonly endMs: number;
  /** Told in a sentence when a worker died and is started again. */
  readonly onDeath: (sentence: string) => void;
}

/** The running processes. */
export interface Workers {
  /** Asks every worker to end, and waits until all are gone. */
  stop(): Promise<void>;
}

/** A worker could not start; its standard error says why. */
export class WorkersError extends Error {
  override readonly name = "WorkersError";
}

/** What a worker tells its parent once it serves. */
const READY = "ready";

const SOON_MS = 10_000;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;

/** Starts the workers; resolves once each is ready. */
export async function startWorkers(options: WorkersOptions): Promise<Workers> {
  const slots = Array.from({ length: options.count }, () => new Slot(options));
  const workers = {
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

/** One worker and those that take its place. */
class Slot {
  readonly #options: WorkersOptions;
  #child: Bun.Subprocess | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitMs = FIRST_WAIT_MS;
  #ending = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
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
    const late = setTimeout(() => child.kill("SIGKILL"), this.#options.endMs);
    await child.exited;
    clearTimeout(late);
  }

  /** `first`: who waits for the first one to be ready. */
  #spawn(first?: PromiseWithResolvers<void>): void {
    const startedAt = performance.now();
    let ready = false;
    const child = Bun.spawn([process.execPath, this.#options.program], {
      env: { ...this.#options.environment },
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message) => {
        if (message !== READY) return;
        ready = true;
        first?.resolve();
      },
    });
    this.#child = child;
    void child.exited.then((code) => {
      if (this.#ending) return;
      if (first !== undefined && !ready)
        first.reject(new WorkersError("Mend what a worker said above, and start again"));
      else this.#again(code, performance.now() - startedAt);
    });
  }

  #again(code: number, livedMs: number): void {
    this.#waitMs = livedMs > SOON_MS ? FIRST_WAIT_MS : Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
    this.#options.onDeath(`A worker ended with code ${code} and is started again`);
    this.#timer = setTimeout(() => this.#spawn(), livedMs > SOON_MS ? 0 : this.#waitMs);
  }
}
