/**
 * The HTTP edge: what holds for every route, whatever slice it is of. It owns no table; its state is
 * the facts of the requests under way.
 *
 * - Every answer carries `x-request-id`; every refusal is `{ error: { code, message, requestId, details? } }`.
 * - Nothing that a client sent is repeated in a refusal, and no text of a fault leaves the server.
 * - Every body is bounded in size, depth and time.
 *
 * May import protocol, platform, the slices' mod.ts and realtime/mod.ts.
 */
export { createAccessTokens, type PublicJwk, publicKeysOf, type SigningKey } from "./access_tokens.ts";
export { type DescribeSocketsOptions, describeSockets } from "./asyncapi.ts";
export {
  type Authenticate,
  type Authentication,
  type AuthenticationDeps,
  createAuthentication,
} from "./authentication.ts";
export { type BodyRule, STANDARD_BODY_BYTES } from "./body.ts";
export { type DocsContext, docsRoutes } from "./docs_routes.ts";
export { type HealthContext, healthRoutes, type PartStatus } from "./health.ts";
export { infoRoutes } from "./info_routes.ts";
export { jwksRoutes } from "./jwks_routes.ts";
export { type MetricsContext, metricsRoutes } from "./metrics_routes.ts";
export { type DescribeApiOptions, type DescribedRoute, describeApi, undescribed } from "./openapi.ts";
export { addressOf } from "./request_facts.ts";
export { createRequestThrottle, type RequestThrottle, type RequestThrottleOptions } from "./request_rates.ts";
export { createServer, type ServerLog, type ServerOptions } from "./server.ts";
