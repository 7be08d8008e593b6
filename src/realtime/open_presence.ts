/** Ties `presence.ts` to the bus, the clock and the database of a node. */
import { steadyNow } from "../platform/clock.ts";
import type { AccountId, ServerFrame } from "../protocol/mod.ts";
import type { HubOptions } from "./hub_options.ts";
import { Presence, type PresenceOptions } from "./presence.ts";

/** What presence needs of the hub. */
export interface PresencePorts extends Pick<PresenceOptions, "isHere" | "send"> {
  /** Sends a frame to the sockets of an account here; false where it has none, or no room. */
  readonly tell: (account: AccountId, frame: ServerFrame) => boolean;
}

/** Opens the presence of a node. */
export function openPresence(hub: HubOptions, ports: PresencePorts): Presence {
  const { bus, node, clock, settings, contacts, inContact, observer } = hub;
  return new Presence({
    ...{ settings, contacts, inContact, ...hub.presence },
    ...{ isHere: ports.isHere, send: ports.send },
    tell: (watcher, { of, status, lastSeen }) =>
      ports.tell(watcher, { type: "presence_update", user_id: of, status, last_seen: lastSeen }),
    connected: (accounts) => bus.connected(accounts),
    setAway: (account, away) => bus.setAway(node, account, away),
    now: () => steadyNow(clock),
    today: () => new Date(clock.now()).toISOString().slice(0, 10),
    onFault: (error) => observer.fault("presence", error),
  });
}
