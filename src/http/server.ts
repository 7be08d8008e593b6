/**
 * The HTTP edge: one Elysia app that carries every slice's routes. What holds for all routes is
 * here, in the order a request meets it: request id, one Host, https, limit, CORS, body, route,
 * errors, headers. The caller listens, and brings the raw WebSocket handlers.
 */
import { cors } from "@elysiajs/cors";
import { type AnyElysia, Elysia } from "elysia";
import { DomainError, uuidv7 } from "../protocol/mod.ts";
import { type BodyRule, readBody } from "./body.ts";
import { errorAnswer, refusalOf } from "./error_answer.ts";
import { factsOf, noteRequest } from "./request_facts.ts";
import { createMethodLookup } from "./routes_known.ts";
import { createSenderOf } from "./trusted_proxies.ts";

/** The part of a log that the edge writes to. */
export interface ServerLog {
  error(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

/** What {@link createServer} is given. */
export interface ServerOptions {
  /** The slices' routes. */
  readonly plugins: readonly AnyElysia[];
  readonly log: ServerLog;
  /** Counts a request; throws `rate_limited`. */
  readonly admit: (request: Request) => Promise<void>;
  /** Origins that browsers may call from, exactly as browsers send them. */
  readonly corsOrigins: readonly string[];
  /** The address that clients use. Where it is https they are told to keep to it. */
  readonly baseUrl: string;
  /** Proxies whose `X-Forwarded-For` and `-Proto` count: addresses or networks; standard none. */
  readonly trustedProxies?: readonly string[];
  /** Routes whose body differs from the standard, by their pattern (`/login`). */
  readonly bodyRules?: Readonly<Record<string, BodyRule>>;
  /** Told of every answer; `route` is the pattern, or `(none)`. */
  readonly onAnswered?: (answered: { method: string; route: string; status: number; seconds: number }) => void;
}

/** Bytes at which the runtime itself cuts a body off; our own limits lie below and answer in JSON. */
const RUNTIME_BODY_BYTES = 8 * 1024 * 1024;
/**
 * Seconds for a request's header, and again for its body at 16 KiB a second; the runtime counts them in steps
 * of four, and what comes in drop by drop does not begin them anew. Then the connection is cut.
 */
const RECEIVE_SECONDS = 10;
/** What monitors ask for: no limit hides it, and it is asked for inside the house, by http. */
const MONITORED_PATHS: ReadonlySet<string> = new Set(["/health", "/ready", "/metrics"]);

/** Composes the app; it does not listen yet. */
export function createServer(options: ServerOptions): AnyElysia {
  const https = options.baseUrl.startsWith("https:");
  const headers = standardHeaders(https);
  const senderOf = createSenderOf(options.trustedProxies ?? []);
  const methodsOf = createMethodLookup(() => app.routes);
  const otherMethods = (request: Request) => {
    const methods = methodsOf(pathOf(request));
    return methods.includes(request.method) ? [] : methods;
  };
  const app: AnyElysia = new Elysia({
    systemRouter: false, // every request passes the hooks below, also one that no route matches
    handler: { standardHostname: false }, // a host name of one letter is a host name
    // Nothing should pass by the error hook below; if it does, the runtime must not show its page of source code.
    serve: {
      ...{ maxRequestBodySize: RUNTIME_BODY_BYTES, idleTimeout: RECEIVE_SECONDS },
      ...{ development: false, error: () => lastAnswer() },
    },
  })
    .onRequest(async ({ request, set, server }) => {
      const peer = server?.requestIP(request)?.address;
      const said = (name: string) => request.headers.get(`x-forwarded-${name}`);
      const sender = peer === undefined ? undefined : senderOf(peer, said("for"), said("proto"));
      const facts = noteRequest(request, sender?.address);
      Object.assign(set.headers, headers, { "x-request-id": facts.id });
      refuseBadHost(request);
      if (MONITORED_PATHS.has(pathOf(request))) return;
      if (https && sender?.scheme === "http") return toHttps(request, options.baseUrl, set);
      await options.admit(request);
    })
    .use(exactCors(options.corsOrigins))
    .onParse(({ request, route }) => readBody(request, options.bodyRules?.[route]))
    .onError(({ error, request, set }) => {
      const { id } = factsOf(request);
      const { refusal, expected } = refusalOf(error, otherMethods(request));
      if (!expected) options.log.error({ requestId: id, code: refusal.code, err: refusal.cause }, "A request failed");
      const answer = errorAnswer(refusal, id);
      Object.assign(set.headers, answer.headers);
      set.status = answer.status;
      return answer.body;
    })
    .onAfterResponse(({ request, route, set, responseValue }) => {
      const status = responseValue instanceof Response ? responseValue.status : Number(set.status ?? 200);
      const seconds = (performance.now() - factsOf(request).startedAt) / 1_000;
      const answered = { method: request.method, route: route === "" ? "(none)" : route, status, seconds };
      options.onAnswered?.(answered);
      options.log.debug({ requestId: factsOf(request).id, ...answered }, "A request was answered");
    });
  for (const plugin of options.plugins) app.use(plugin);
  return app;
}

/** A name or an address, perhaps with a port (RFC 9112 section 3.2); `_` is in names of containers. */
const HOST = /^([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:\d{1,5})?$/;

/** Two Host headers reach us as one, joined by a comma; which one was meant is anybody's guess, so they are refused too. */
function refuseBadHost(request: Request): void {
  const host = request.headers.get("host");
  if (host === null || HOST.test(host)) return;
  throw new DomainError("bad_request", {
    details: { fields: { host: "must be given once, as a name or an address" } },
  });
}

/** Sends who only reads on to https; who writes, or opens a socket, has to come by it from the start. */
function toHttps(
  request: Request,
  baseUrl: string,
  set: { headers: Record<string, string | number | undefined> },
): Response {
  const reads = request.method === "GET" || request.method === "HEAD";
  if (!reads || request.headers.has("upgrade")) throw new DomainError("https_required");
  const headers = new Headers({ ...set.headers, location: baseUrl + targetOf(request) } as Record<string, string>);
  return new Response(null, { status: 308, headers }); // RFC 9110 section 15.4.9
}

/** The path of a request. `URL` would throw where the Host header, which is part of the address, is no host. */
function pathOf(request: Request): string {
  return targetOf(request).split(/[?#]/, 1)[0] ?? "/";
}

/** Path and query. */
function targetOf(request: Request): string {
  const start = request.url.indexOf("/", request.url.indexOf("://") + 3);
  return start < 0 ? "/" : request.url.slice(start);
}

function lastAnswer(): Response {
  const { status, body } = errorAnswer(new DomainError("internal"), uuidv7());
  return Response.json(body, { status, headers: standardHeaders(false) });
}

function exactCors(origins: readonly string[]) {
  const allowed: ReadonlySet<string> = new Set(origins);
  return cors({
    origin: (request) => allowed.has(request.headers.get("origin") ?? ""),
    credentials: false, // tokens travel in a header; there are no cookies
    methods: ["GET", "POST", "PUT", "DELETE"],
    allowedHeaders: ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-request-id"],
    exposeHeaders: ["etag", "retry-after", "x-request-id"],
    maxAge: 600,
  });
}

function standardHeaders(https: boolean): Readonly<Record<string, string>> {
  return {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    ...(https ? { "strict-transport-security": "max-age=31536000; includeSubDomains" } : {}),
  };
}
