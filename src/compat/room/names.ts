/** The user names of those who say something: looked up once, for as many as come together. They never change. */

import { type AccountDeps, usernamesOf } from "../../accounts/mod.ts";
import { Batcher } from "../../platform/batcher.ts";
import { forgetOldest } from "../../platform/forget_oldest.ts";
import type { AccountId } from "../../protocol/mod.ts";

/** Names that are remembered; of more, the oldest are forgotten. */
const MOST_NAMES = 20_000;
/** How somebody is called who is gone. */
const NOBODY = "(gone)";

/** See the head of this file. */
export class Names {
  readonly #names = new Map<AccountId, string>();
  readonly #lookups: Batcher<AccountId, string>;

  constructor(accounts: Pick<AccountDeps, "db">) {
    this.#lookups = new Batcher(
      async (ids) => {
        const names = await usernamesOf(accounts, ids);
        return ids.map((id) => names.get(id) ?? NOBODY);
      },
      { most: 1_000, waiting: 100_000 },
    );
  }

  /** A name that was found before. */
  known(id: AccountId): string | undefined {
    return this.#names.get(id);
  }

  /** Finds a name. */
  async find(id: AccountId): Promise<string> {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = await this.#lookups.ask(id);
    this.#names.set(id, name);
    forgetOldest(this.#names, MOST_NAMES);
    return name;
  }
}
