/** Who has which name. Shown are user names, which are unique; a display name could be anybody's. */
import type { Api, User } from "../client/mod.ts";
import type { AccountId } from "../protocol/mod.ts";
import { cleanName } from "./clean_text.ts";

const MOST = 5_000;

/** Keeps the names of people that were met; asks for one once, and draws again when it is there. */
export class People {
  readonly #api: Api;
  readonly #changed: () => void;
  readonly #names = new Map<AccountId, string>();
  readonly #asked = new Map<AccountId, Promise<void>>();

  constructor(api: Api, changed: () => void) {
    this.#api = api;
    this.#changed = changed;
  }

  /** The name of somebody, fit for the screen; the beginning of the id until it is known. */
  name(id: AccountId): string {
    const known = this.#names.get(id);
    if (known === undefined) void this.#ask(id);
    return known ?? `${id.slice(-6)}…`;
  }

  /** The same, after it was asked for where it was not known. */
  async nameOnceKnown(id: AccountId): Promise<string> {
    if (!this.#names.has(id)) await this.#ask(id);
    return this.name(id);
  }

  /** Remembers a name. */
  learn(id: AccountId, username: string): void {
    if (this.#names.size >= MOST) this.#names.clear();
    this.#names.set(id, cleanName(username));
  }

  /** The person with exactly this user name, in any case; `undefined` where nobody is found. */
  async find(username: string): Promise<User | undefined> {
    const known = [...this.#names].find(([, name]) => sameName(name, username));
    if (known !== undefined) return { id: known[0], username: known[1] };
    const { users } = await this.#api.findUsers(username, { limit: 20 });
    const found = users.find((user) => sameName(user.username, username));
    if (found !== undefined) this.learn(found.id, found.username);
    return found;
  }

  /** The names that are known. */
  get names(): readonly string[] {
    return [...this.#names.values()];
  }

  #ask(id: AccountId): Promise<void> {
    const asked = this.#asked.get(id) ?? this.#askNow(id).finally(() => this.#asked.delete(id));
    this.#asked.set(id, asked);
    return asked;
  }

  async #askNow(id: AccountId): Promise<void> {
    try {
      this.learn(id, (await this.#api.user(id)).username);
      this.#changed();
    } catch {
      // Whoever has left has no name any more; where there was no connection it is asked again when drawn.
    }
  }
}

/** Whether two names are the same to people. */
export function sameName(a: string, b: string): boolean {
  return a.normalize("NFC").toLowerCase() === b.normalize("NFC").toLowerCase();
}
