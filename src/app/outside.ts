/** What the server reaches outside itself beside its database: mail, other nodes, and the counts that they share. */
import type { Config } from "../config.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import { createMailQueue, type MailQueue } from "../platform/mail_queue.ts";
import {
  createFolderTransport,
  createSmtpTransport,
  type MailFault,
  type MailTransport,
} from "../platform/mail_transport.ts";
import type { Metrics } from "../platform/metrics.ts";
import { MemoryRateLimiter, type RateLimiter } from "../platform/rate_limit.ts";
import { RedisRateLimiter } from "../platform/rate_limit_redis.ts";
import { openRedis } from "../platform/redis.ts";
import { uuidv7 } from "../protocol/mod.ts";
import { type Bus, type HubObserver, MemoryBus, RedisBus } from "../realtime/mod.ts";
import type { Ground } from "./ground.ts";
import type { OnFault } from "./observers.ts";

/** Sends mails as the configuration says; what becomes of each is counted, and to whom it went is not. */
export function openMails({ config, log, metrics, started }: Ground): MailQueue | null {
  const transport = openMailTransport(config, log);
  if (transport === null) return null;
  const ended = metrics.counter("sotto_mails_total", "Mails by what became of them", ["outcome"]);
  const mails = started.use(
    createMailQueue({
      transport,
      onEnded: (outcome, error) => {
        ended.increase({ outcome });
        if (error !== undefined) log.warn({ err: error }, "A mail was given up");
      },
    }),
  );
  metrics.measured("sotto_mail_depth", "Mails that wait or are under way", () => mails.depth);
  transport.check().catch((error: MailFault) => {
    log.warn({ code: error.code }, "Mails cannot be sent now; each is tried all the same");
  });
  return mails;
}

function openMailTransport({ mail }: Config, log: Log): MailTransport | null {
  switch (mail.kind) {
    case "smtp":
      return createSmtpTransport(mail);
    case "folder":
      return createFolderTransport({ ...mail, onWritten: (path) => log.info({ path }, "A mail was written") });
    case "none":
      return null;
  }
}

/** How this node meets others. */
export function openBus({ redisUrl }: Config, onFault: OnFault, onStage: HubObserver["stage"]): Bus {
  if (redisUrl === null) return new MemoryBus();
  return new RedisBus({ url: redisUrl, newToken: uuidv7, onFault: (error) => onFault("bus", error), onStage });
}

/** How nodes count requests together; alone it counts in memory. */
export function openLimiter(
  config: Config,
  clock: Clock,
  metrics: Metrics,
  onFault: OnFault,
  started: AsyncDisposableStack,
): RateLimiter {
  if (config.redisUrl === null) return new MemoryRateLimiter(clock);
  // A connection of its own: what waits for the bus shall not wait for limits, nor they for it.
  const redis = started.use(openRedis(config.redisUrl, { onFault: (error) => onFault("limits", error) }));
  const limiter = new RedisRateLimiter({
    redis,
    clock,
    secretKey: config.secretKey,
    onFault: (error) => onFault("limits", error),
  });
  metrics.measured("sotto_limits_shared", "1 while limits hold for all nodes together", () => (limiter.shared ? 1 : 0));
  return limiter;
}
