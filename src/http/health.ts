/**
 * Whether the server lives and whether it should be sent requests. Both answer fast whatever the
 * database does: the probe has a deadline, and its outcome is kept for a second.
 */
import { Elysia } from "elysia";
import type { Clock } from "../platform/clock.ts";

/** How a part that the server leans on is. */
export type PartStatus = "up" | "down";

/** What {@link healthRoutes} is given. */
export interface HealthContext {
  readonly clock: Clock;
  /** Asks the database something small; rejects where it does not answer. */
  readonly probeDatabase: () => Promise<unknown>;
  /** `in_process` where one node runs alone. */
  readonly busStatus: () => PartStatus | "in_process";
  /** Whether the node is about to stop. */
  readonly isDraining: () => boolean;
}

const PROBE_DEADLINE_MS = 1_000;
const FRESH_MS = 1_000;

/**
 * `GET /health`: 200 while the process lives, with `{status, database, bus}`. `GET /ready`: 200, or 503
 * while the node drains or its database does not answer.
 */
export function healthRoutes(context: HealthContext) {
  const database = cachedProbe(context);
  return new Elysia({ name: "health" })
    .get("/health", async () => ({ status: "ok", database: await database(), bus: context.busStatus() }))
    .get("/ready", async ({ set }) => {
      const draining = context.isDraining();
      const answer = { database: await database(), bus: context.busStatus() };
      const ready = !draining && answer.database === "up";
      if (!ready) set.status = 503;
      return { status: ready ? "ready" : draining ? "draining" : "unavailable", ...answer };
    });
}

function cachedProbe(context: HealthContext): () => Promise<PartStatus> {
  let askedAt = Number.NEGATIVE_INFINITY;
  let last: Promise<PartStatus> | undefined;
  return () => {
    const now = context.clock.now();
    if (last === undefined || Math.abs(now - askedAt) >= FRESH_MS) {
      askedAt = now;
      last = withDeadline(context.probeDatabase());
    }
    return last;
  };
}

async function withDeadline(probe: Promise<unknown>): Promise<PartStatus> {
  const { promise: late, resolve } = Promise.withResolvers<PartStatus>();
  const timer = setTimeout(() => resolve("down"), PROBE_DEADLINE_MS);
  const asked = probe.then(
    (): PartStatus => "up",
    (): PartStatus => "down",
  );
  const status = await Promise.race([asked, late]);
  clearTimeout(timer);
  return status;
}
