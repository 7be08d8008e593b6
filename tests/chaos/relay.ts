/**
 * People who know the relay's contract alone: over HTTP and without sockets they send to each other, look what
 * waits for them, and confirm it in any order, each time at another node. So what waits is what they did not
 * confirm, and nothing else moves it.
 */
import type { History } from "../support/history/history.ts";
import type { Chance } from "../support/random.ts";
import type { ServingNode } from "./device.ts";
import { type Asking, confirm, readInbox, readList, readPage, relay, signUp } from "./requests.ts";

/** What {@link RelayPeople} are made of. */
export interface RelayOptions {
  readonly history: History;
  readonly chance: Chance;
  /** The nodes that are meant to serve now. */
  readonly nodes: () => readonly ServingNode[];
  /** Milliseconds between two deeds of a person, on average. */
  readonly paceMs: number;
}

type RelayPerson = Asking["device"];

const PEOPLE = 3;
/** How often a message is sent again while nobody knows what came of it. */
const TRIES = 3;
/** What waits for somebody: beyond that they confirm rather than send. */
const MANY = 30;

/** See the head of this file. */
export class RelayPeople {
  readonly #options: RelayOptions;
  readonly #people: readonly RelayPerson[];
  /** What each was shown as waiting when they looked last. */
  readonly #waiting = new Map<RelayPerson, Awaited<ReturnType<typeof readInbox>>>();
  readonly #timers = new Map<RelayPerson, ReturnType<typeof setTimeout>>();
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;
  #texts = 0;

  private constructor(options: RelayOptions, people: readonly RelayPerson[]) {
    this.#options = options;
    this.#people = people;
  }

  /** Signs them up. */
  static async signUp(options: RelayOptions): Promise<RelayPeople> {
    const people = Array.from({ length: PEOPLE }, async (_, i): Promise<RelayPerson> => {
      const name = `relay_${i}_${crypto.randomUUID().slice(0, 8)}`;
      const { account, identities } = await signUp(options.chance.pick(options.nodes()), name, 1);
      const [identity] = identities;
      if (identity === undefined) throw new Error("Sign in on one device");
      return { id: identity.device, account, identity };
    });
    return new RelayPeople(options, await Promise.all(people));
  }

  /** Lets them go on. */
  begin(): void {
    for (const person of this.#people) this.#schedule(person);
  }

  /** Nobody begins anything any more; resolves once everything is answered, and each has looked once more. */
  async stop(): Promise<void> {
    const first = !this.#stopped;
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#underWay);
    if (first) await Promise.all(this.#people.map((person) => this.#lookEverywhere(person)));
  }

  async #lookEverywhere(person: RelayPerson): Promise<void> {
    for (const node of this.#options.nodes()) {
      const asking = this.#asking(person, node);
      await readInbox(asking);
      await this.#readStatuses(asking);
    }
  }

  #schedule(person: RelayPerson): void {
    const { chance, paceMs } = this.#options;
    const timer = setTimeout(
      () => {
        if (this.#stopped) return;
        const work = this.#act(person);
        this.#underWay.add(work);
        void work.finally(() => {
          this.#underWay.delete(work);
          if (!this.#stopped) this.#schedule(person);
        });
      },
      chance.between(0, 2 * paceMs),
    );
    this.#timers.set(person, timer);
  }

  async #act(person: RelayPerson): Promise<void> {
    const { chance, nodes } = this.#options;
    const serving = nodes();
    if (serving.length === 0) return;
    const asking = this.#asking(person, chance.pick(serving));
    const waiting = this.#waiting.get(person) ?? [];
    const deed = chance.next();
    if (deed < 0.35 && waiting.length < MANY) return this.#send(person);
    if (deed < 0.6) return void this.#waiting.set(person, await readInbox(asking));
    if (deed < 0.7) return this.#readStatuses(asking);
    if (waiting.length === 0) return;
    // Mostly not the oldest, and now and then what was confirmed already.
    const id = chance.pick(waiting);
    await confirm(asking, id);
    if (chance.happens(0.8))
      this.#waiting.set(
        person,
        waiting.filter((other) => other !== id),
      );
  }

  async #send(person: RelayPerson): Promise<void> {
    const { chance, nodes } = this.#options;
    const recipient = chance.pick(this.#people.filter((other) => other !== person)).account.id;
    const text = `${person.account.name} ${++this.#texts} `.padEnd(chance.whole(10, 400), "lorem ipsum ");
    const message = { recipient, data: Buffer.from(text).toString("base64"), key: crypto.randomUUID() };
    for (let tries = 0; tries < TRIES && nodes().length > 0; tries++)
      if (await relay(this.#asking(person, chance.pick(nodes())), message)) return;
  }

  /** How far their own messages got, by the main contract. */
  async #readStatuses(asking: Asking): Promise<void> {
    const { outcome } = await readList(asking);
    const summaries = outcome.type === "ok" && Array.isArray(outcome.answer) ? outcome.answer : [];
    for (const { conversation } of summaries)
      await readPage(asking, { conversation, direction: "newest", seq: null }, 100);
  }

  #asking(device: RelayPerson, node: ServingNode): Asking {
    return { history: this.#options.history, device, node };
  }
}
