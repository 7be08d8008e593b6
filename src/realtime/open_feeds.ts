/** What readers of public channels are given of the hub's options. */
import { steadyNow } from "../platform/clock.ts";
import type { HubOptions } from "./hub_options.ts";
import { PublicFeeds } from "./public_feeds.ts";

/** Makes the feeds of a node, with nobody at them. */
export function openFeeds(options: HubOptions): PublicFeeds {
  const { bus, node, observer, clock, publicPerAddress } = options;
  return new PublicFeeds({
    conversations: options.conversations,
    register: (channel) => bus.register(node, channel),
    unregister: (channel) => void bus.unregister(node, channel).catch((error) => observer.fault("directory", error)),
    heartbeatMs: options.heartbeatMs,
    connectionTimeoutMs: options.connectionTimeoutMs,
    ...(publicPerAddress === undefined ? {} : { perAddress: publicPerAddress }),
    newRequestId: options.newRequestId,
    now: () => steadyNow(clock),
    date: () => clock.now(),
    onOpened: observer.opened,
    onClosed: observer.closed,
    onFailure: (requestId, error) => observer.frameFailed(null, requestId, error),
    onFault: observer.fault,
  });
}
