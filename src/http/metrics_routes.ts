/** `GET /metrics`: the node's measurements as Prometheus text. They tell an outsider too much, so they are not for all. */
import { createHash, timingSafeEqual } from "node:crypto";
import { Elysia } from "elysia";
import { DomainError } from "../protocol/mod.ts";
import { addressOf } from "./request_facts.ts";

/** What {@link metricsRoutes} is given. */
export interface MetricsContext {
  /** Writes the measurements in the text format of Prometheus. */
  readonly text: () => Promise<string>;
  /** Who sends it as a bearer token may read from anywhere; `null`: only from this machine. */
  readonly token: string | null;
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|0:0:0:0::\/64|::1)$/;
/** What a proxy on this machine adds: with one of these the request is not from here. */
const FORWARDED = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/** The route; for anybody else there is nothing there. */
export function metricsRoutes(context: MetricsContext) {
  return new Elysia({ name: "metrics" }).get("/metrics", async ({ request, set }) => {
    if (!mayRead(context.token, request)) throw new DomainError("not_found");
    set.headers["content-type"] = "text/plain; version=0.0.4; charset=utf-8";
    return context.text();
  });
}

function mayRead(token: string | null, request: Request): boolean {
  if (token === null) return LOOPBACK.test(addressOf(request)) && !FORWARDED.some((name) => request.headers.has(name));
  const given = request.headers.get("authorization") ?? "";
  return timingSafeEqual(digest(given), digest(`Bearer ${token}`));
}

/** Of equal length whatever is compared. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
