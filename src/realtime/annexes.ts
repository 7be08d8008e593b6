/** The annexes of a node: what each is given, and which hints it is told. */
import type { AccountId } from "../protocol/mod.ts";
import type { Annex, AnnexPorts } from "./annex.ts";
import type { AccountHint, Bus, NodeId } from "./bus.ts";
import type { Session } from "./session.ts";
import type { SessionDeps } from "./session_deps.ts";

/** What {@link Annexes} are made of. */
export interface AnnexesOptions {
  readonly bus: Bus;
  readonly node: NodeId;
  /** Sends a frame to whoever of these is connected. */
  readonly signal: (to: readonly AccountId[], text: string) => void;
  /** What every session needs. */
  readonly sessionDeps: SessionDeps;
  /** A socket has shown who it belongs to. */
  readonly onAttached: (session: Session) => void;
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
}

/** See the head of this file. */
export class Annexes {
  readonly #options: AnnexesOptions;
  readonly #annexes = new Map<AccountId, { readonly annex: Annex; readonly sessionDeps: SessionDeps }>();

  constructor(options: AnnexesOptions) {
    this.#options = options;
  }

  /** Adds an annex. */
  add<Added extends Annex>(account: AccountId, open: (ports: AnnexPorts) => Added): Added {
    const annex = open(this.#portsFor(account));
    this.#annexes.set(account, { annex, sessionDeps: this.#sessionDepsFor(annex) });
    return annex;
  }

  /** What the sessions of an annex need; `undefined` of one that was not added. */
  sessionDepsOf({ account }: Annex): SessionDeps | undefined {
    return this.#annexes.get(account)?.sessionDeps;
  }

  /** Something is told to an account: an annex of it is told, and all which sessions have ended. */
  told(account: AccountId, hint: AccountHint): void {
    if (this.#annexes.size === 0) return;
    this.#annexes.get(account)?.annex.told(hint);
    if (hint.type !== "end_sessions") return;
    for (const { annex } of this.#annexes.values()) annex.ended(account, hint.sessionIds, hint.reason);
  }

  /** Hints may have been lost. */
  doubt(): void {
    for (const { annex } of this.#annexes.values()) annex.doubt();
  }

  /** Called every second. */
  check(): void {
    for (const { annex } of this.#annexes.values()) annex.check();
  }

  #portsFor(account: AccountId): AnnexPorts {
    const { bus, node, signal, now } = this.#options;
    return {
      node,
      get healthy() {
        return bus.healthy;
      },
      register: () => bus.register(node, account),
      unregister: () => bus.unregister(node, account),
      others: async () => [...(await bus.locate(node, [account])).keys()],
      signal: (text) => signal([account], text),
      now,
    };
  }

  /** As for every other session, but that its frames go to the annex. */
  #sessionDepsFor(annex: Annex): SessionDeps {
    const { sessionDeps, onAttached } = this.#options;
    return {
      ...sessionDeps,
      codec: annex.codec,
      ordered: false,
      attach: (session) => {
        onAttached(session);
        return annex.attach(session);
      },
      detach: (session) => annex.detach(session),
      frame: (session, frame) => {
        annex.frame(session, frame);
        return "accepted";
      },
      drained: () => {},
    };
  }
}
