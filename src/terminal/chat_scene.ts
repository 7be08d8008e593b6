/** All that the chat's screen shows, at one moment. */
import type { ConnectionStatus } from "../client/mod.ts";
import type { AccountId } from "../protocol/mod.ts";
import type { Drafts } from "./drafts.ts";
import type { Visible } from "./line_editor.ts";
import type { People } from "./people.ts";
import type { Talk } from "./talk.ts";
import type { Talks } from "./talks.ts";

/** See the head of this file. */
export interface ChatScene {
  readonly people: People;
  readonly talks: Talks;
  readonly drafts: Drafts;
  /** The own name and id. */
  readonly self: string;
  readonly selfId: AccountId;
  readonly server: string;
  readonly status: ConnectionStatus;
  /** The open conversation; `null` shows the list. */
  readonly talk: Talk | null;
  /** Answers to commands, shown below everything else until the next Enter. */
  readonly notice: readonly string[];
  /** Lines between the screen's last line and the newest one. */
  readonly scroll: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly typed: (width: number) => Visible;
}
