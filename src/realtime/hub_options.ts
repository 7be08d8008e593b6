/** What a hub is told, and whom it tells. */
import type { EndedSession, Principal } from "../accounts/mod.ts";
import type { Conversations } from "../conversations/mod.ts";
import type { InboxEntry, InboxPlace, PutInInboxInput, Reached } from "../devices/mod.ts";
import type { ContactOf, PersonSettings } from "../people/mod.ts";
import type { Clock } from "../platform/clock.ts";
import type { AccountId, CloseReason, DeviceId, SessionEnd, SessionId } from "../protocol/mod.ts";
import type { Bus, NodeId } from "./bus.ts";
import type { dispatch } from "./dispatch.ts";
import type { PresenceOptions } from "./presence.ts";
import type { Session } from "./session.ts";
import type { Stage } from "./stage_times.ts";

/** Told what happens, for metrics and the log. */
export interface HubObserver {
  opened(): void;
  closed(reason: CloseReason | "gone"): void;
  /** An actor threw, and was restarted. */
  actorFailed(account: AccountId, error: unknown): void;
  /** A frame could not be handled; its sender, a session or somebody who reads a public channel, was told the request id. */
  frameFailed(session: Session | null, requestId: string, error: unknown): void;
  fault(what: string, error: unknown): void;
  /** How long a message that is followed took for a stage. */
  stage(stage: Stage, milliseconds: number): void;
}

/** The inboxes of devices; see `devices/mod.ts`. */
export interface Inboxes {
  put(input: PutInInboxInput): Promise<Reached>;
  read(places: readonly InboxPlace[]): Promise<readonly (readonly InboxEntry[])[]>;
  acknowledge(deviceId: DeviceId, seq: number): Promise<void>;
}

/** What `openHub` is told. */
export interface HubOptions {
  readonly node: NodeId;
  readonly bus: Bus;
  readonly conversations: Conversations;
  readonly inboxes: Inboxes;
  /** Judges an access token; throws `unauthorized` or `token_expired`. */
  readonly verify: (token: string) => Promise<Principal>;
  /** Those of some sessions that are over, and why; never from a cache. */
  readonly sessionEnds: (ids: readonly SessionId[]) => Promise<ReadonlyMap<SessionId, SessionEnd>>;
  /** Sessions that ended at a time (ms since the epoch) or later. */
  readonly endedSessions: (since: number) => Promise<readonly EndedSession[]>;
  /** The settings of some accounts; who is missing has the standard ones. */
  readonly settings: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, PersonSettings>>;
  /** The contacts of each of some accounts, at most `most` of each. */
  readonly contacts: (ids: readonly AccountId[], most: number) => Promise<readonly ContactOf[]>;
  /** Those of some pairs who are contacts. */
  readonly inContact: PresenceOptions["inContact"];
  /** In the place of the standard times of presence. */
  readonly presence?: Pick<PresenceOptions, "graceMs" | "lookMs">;
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  readonly clock: Clock;
  readonly observer: HubObserver;
  readonly newRequestId: () => string;
  /** A socket of an account has gone. */
  readonly onLeft?: (account: AccountId) => void;
  /** Sockets of one address that read public channels; standard 200. */
  readonly publicPerAddress?: number;
  /** Milliseconds between two comparisons of a socket's heads; standard 60,000. */
  readonly compareMs?: number;
  /** How a frame is handled; tests put a failing one in its place. */
  readonly dispatch?: typeof dispatch;
}
